-- ARGV: the lease in milliseconds. Answers { 0, fence } where it is acquired, { 1, milliseconds } where it is in
-- flight for so long, { 2, 0 } where it is done.
local state, last, problem = read()
if problem then return problem end

if state == IN_FLIGHT or state == DONE then
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then return corrupt('this mark has no expiry') end
  if state == DONE then return { 2, 0 } end
  return { 1, math.max(left, 1) }
end

local time = redis.call('TIME')
-- Larger than the last one too, should the clock have been set back.
local fence = math.max((last or 0) + 1, time[1] * 1000000 + time[2])
problem = write(IN_FLIGHT, fence, ARGV[1])
if problem then return problem end
return { 0, fence }

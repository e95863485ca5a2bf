-- ARGV: the lease in milliseconds. Answers { 0, fence } where it is acquired, { 1, milliseconds } where it is in flight
-- for so long, { 2, 0 } where it is done.
local time = redis.call('TIME')
local fence = string.format('%010d%06d', time[1], time[2])

-- Most events are new, and need no more than this.
local written = redis.pcall('SET', KEYS[1], IN_FLIGHT .. fence, 'NX', 'PX', ARGV[1])
if written and written.ok then return { 0, fence } end

local state, last, problem = read()
if problem then return problem end
-- Absent, and refused all the same: the server is full, or takes no writes.
if not state then return written end

if state ~= RELEASED then
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then return corrupt('this mark has no expiry') end
  if state == DONE then return { 2, 0 } end
  return { 1, math.max(left, 1) }
end

-- Larger than the last one too, should the clock have been set back.
if last >= fence then
  if last >= '9007199254740991' then return corrupt('this fence cannot grow') end
  fence = string.format('%016.0f', last + 1)
end
written = redis.pcall('SET', KEYS[1], IN_FLIGHT .. fence, 'PX', ARGV[1])
if written.err then return written end
return { 0, fence }

-- ARGV: the fence, and the retention in milliseconds. Done whatever was there, for the work is done. Answers 1 where
-- this fence was the current one, else 0.
local state, current, problem = read()
if problem then return problem end

local fence = tonumber(ARGV[1])
local held = (state == IN_FLIGHT or state == DONE) and current == fence
problem = settle(DONE, math.max(fence, current or 0), ARGV[2])
if problem then return problem end
return held and 1 or 0

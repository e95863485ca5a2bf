-- ARGV: the fence, and the retention in milliseconds. Done whatever was there, for the work is done. Answers 1 where
-- this fence was the current one, else 0.
local state, current, problem = read()
if problem then return problem end

local fence = tonumber(ARGV[1])
local held = (state == IN_FLIGHT or state == DONE) and current == fence
-- A lost lease stays lost: its fence is not written, or a repetition would find it to be the current one.
problem = settle(DONE, held and fence or math.max(fence + 1, current or 0), ARGV[2])
if problem then return problem end
return held and 1 or 0

-- ARGV: the fence, and for how long to remember it, in milliseconds. Answers 1 where this fence was the current one,
-- else 0.
local state, current, problem = read()
if problem then return problem end

if state ~= IN_FLIGHT or current ~= ARGV[1] then return 0 end
return replace(RELEASED .. current, ARGV[2]) or 1

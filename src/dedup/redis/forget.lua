-- ARGV: for how long to remember the fence, in milliseconds. Answers 1 where the event was done, else 0.
local state, current, problem = read()
if problem then return problem end

if state ~= DONE then return 0 end
return replace(RELEASED .. current, ARGV[1]) or 1

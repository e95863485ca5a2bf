-- ARGV: the fence, and the retention in milliseconds. Done whatever was there, for the work is done. Answers 1 where
-- this fence was the current one, else 0.
local state, current, problem = read()
if problem then return problem end

local fence = ARGV[1]
local held = current == fence and state ~= RELEASED
-- Fences never shrink, not even by the completion of an old holder.
if current and current > fence then fence = current end
return replace(DONE .. fence, ARGV[2]) or (held and 1 or 0)

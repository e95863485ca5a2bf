-- ARGV: the fence, and the retention in milliseconds. Done whatever was there, for the work is done. Answers 1 where
-- this fence was the current one, else 0.
local state, current, problem = read()
if problem then return problem end

local fence = ARGV[1]
local held = current == fence and state ~= RELEASED
if not held then
  -- A lost lease stays lost: its fence is not written, or a repetition would find it to be the current one.
  if fence < '9007199254740991' then fence = string.format('%016.0f', fence + 1) end
  -- Fences never shrink, not even by the completion of an old holder.
  if current and current > fence then fence = current end
end
return replace(DONE .. fence, ARGV[2]) or (held and 1 or 0)

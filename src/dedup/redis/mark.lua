-- What all transitions share, in front of each. A mark is an integer of 17 digits, which Redis keeps in the least room:
-- the state, then the fence of the last claim, which is the server's time in microseconds. All are text here, as long
-- as each other, since Lua's numbers are not exact beyond 2^53.
local IN_FLIGHT, DONE, RELEASED = '1', '2', '3'

local function corrupt(problem)
  return redis.error_reply('CORRUPT ' .. problem)
end

-- The state and the fence of the key, or nothing where it is absent; third, the error to answer with.
local function read()
  local mark = redis.pcall('GET', KEYS[1])
  if not mark then return end
  if type(mark) == 'table' then return nil, nil, mark end
  if #mark ~= 17 or not string.find(mark, '^[123]%d+$') then
    return nil, nil, corrupt('this value is no mark')
  end
  return string.sub(mark, 1, 1), string.sub(mark, 2)
end

-- Replaces a mark by one of its size, and says what went wrong. A server that is full refuses even that, but not in a
-- script that has written before.
local function replace(mark, milliseconds)
  local answer = redis.pcall('SET', KEYS[1], mark, 'PX', milliseconds)
  if answer.err and string.find(answer.err, 'OOM', 1, true) then
    redis.call('PEXPIRE', KEYS[1], milliseconds)
    answer = redis.pcall('SET', KEYS[1], mark, 'PX', milliseconds)
  end
  if answer.err then return answer end
end


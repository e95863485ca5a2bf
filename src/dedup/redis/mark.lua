-- What all transitions share, in front of each. A mark is an integer of 17 digits, which Redis stores in the least
-- room: first the state, then the fence of the last claim, in microseconds of this server's clock.
local IN_FLIGHT, DONE, RELEASED = '1', '2', '3'

-- Lua's numbers are exact up to here.
local LAST_FENCE = 9007199254740991

local function corrupt(problem)
  return redis.error_reply('CORRUPT ' .. problem)
end

-- The state and the fence of the key, or nothing where it is absent; third, the error to answer with.
local function read()
  local value = redis.pcall('GET', KEYS[1])
  if not value then return end
  if type(value) == 'table' then return nil, nil, value end
  local state, fence = string.match(value, '^([123])(%d+)$')
  if not state or #fence ~= 16 or tonumber(fence) >= LAST_FENCE then
    return nil, nil, corrupt('this value is no mark')
  end
  return state, tonumber(fence)
end

-- Sets the key, and says what went wrong.
local function write(state, fence, milliseconds)
  local mark = state .. string.format('%016.0f', fence)
  local answer = redis.pcall('SET', KEYS[1], mark, 'PX', milliseconds)
  if answer.err then return answer end
end

-- The same where the mark must get in: it replaces one of its size, which takes no memory. A server that is full
-- refuses that too, but not in a script that has written before.
local function settle(state, fence, milliseconds)
  local problem = write(state, fence, milliseconds)
  if problem and string.find(problem.err, 'OOM', 1, true) then
    redis.call('PEXPIRE', KEYS[1], milliseconds)
    problem = write(state, fence, milliseconds)
  end
  return problem
end

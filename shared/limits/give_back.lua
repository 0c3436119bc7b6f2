-- What messages used in this group that another group has refused. KEYS: the limits', then of users.
-- The request:
--   since   when it was used
--   steps   for each limit: microseconds
--   users   members and their scores, in turns
-- A limit gets back what was used less the time since then, which is the most that may have been lost by it to nobody; users who were
-- not asked for again are forgotten. A `since` of another clock gives nothing back.
local passed = math.abs(now - request.since)
for i, steps in ipairs(request.steps) do
  local value = redis.call('GET', KEYS[i])
  if value and steps > passed then
    local arrival, line = read(value)
    local state = written(math.max(now, arrival - steps + passed), line)
    redis.call('SET', KEYS[i], state, 'KEEPTTL')
  end
end
local users = KEYS[#KEYS]
for i = 1, #request.users, 2 do
  local member, score = request.users[i], request.users[i + 1]
  if tonumber(redis.call('ZSCORE', users, member) or 0) == score then redis.call('ZREM', users, member) end
end
return {}

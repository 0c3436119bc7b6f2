-- One group's part of a batch. KEYS: the limits', then the windows', then of users and of their line.
-- The request:
--   rates    microseconds a step, how far it may run ahead, how much less of that for each tier down; and so on
--   limits   for each key the position of its rate
--   asks     for each message its tier, how many limits it has, their positions
--   users    {} or for each message: {} or {most users, member, position of the window}
-- Returns {now, how many users were not counted before; their messages' positions; then for each refused message its position, that of
-- the limit (0: users), microseconds until its place}.
-- A message passes all its limits here, or uses none.
local rates, limits, asks = request.rates, request.limits, request.asks
local strings = #KEYS - 2
local values = {}
for from = 1, strings, 1000 do
  local got = redis.call('MGET', unpack(KEYS, from, math.min(from + 999, strings)))
  for i = 1, #got do values[from + i - 1] = got[i] end
end

local DAY = 86400000000
local users, place_key, counted, last = KEYS[#KEYS - 1], KEYS[#KEYS], nil, nil
if #request.users > 0 then
  redis.call('ZREMRANGEBYSCORE', users, '-inf', now - DAY)
  counted = redis.call('ZCARD', users)
  last = math.max(tonumber(redis.call('GET', place_key) or 0), now - DAY)
end
local is_counting, is_placing = false, false

local function passes(who)
  local most, member, window = who[1], who[2], who[3]
  if tonumber(values[#limits + window] or 0) > now then return true, false end
  return counted < most or redis.call('ZSCORE', users, member) ~= false, true
end

-- The moments at which those counted are forgotten are the places of those refused.
local function place(most)
  local next = redis.call('ZRANGEBYSCORE', users, string.format('(%.0f', last), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  last = tonumber(next[2]) or last + math.ceil(DAY / math.max(most, 1))
  is_placing = true
  return last + DAY
end

local arrivals, lines, changed = {}, {}, {}
local answer, refused = {now, 0}, {}
local at, past, n = 1, #asks, 0
while at < past do
  n = n + 1
  local tier, first, final = asks[at], at + 2, at + 1 + asks[at + 1]
  local latest, holder = 0, nil
  at = final + 1
  for k = first, final do
    local i = asks[k]
    local rate = limits[i]
    if not arrivals[i] then arrivals[i], lines[i] = read(values[i]) end
    local free = arrivals[i] - rates[rate + 1] + tier * rates[rate + 2]
    if free > now then
      local line = lines[i] or {0, 0, 0, 0}
      local moment = math.max(line[tier + 1], free)
      for t = tier + 1, 4 do line[t] = math.max(line[t], moment) + rates[rate] end
      lines[i], changed[i] = line, true
      if moment > latest then latest, holder = moment, i end
    end
  end
  local who, is_counted = request.users[n], false
  if who and who[1] then
    local passed
    passed, is_counted = passes(who)
    if not passed then
      local moment = place(who[1])
      if moment > latest then latest, holder = moment, 0 end
    end
  end
  if holder then
    local r = #refused
    refused[r + 1], refused[r + 2], refused[r + 3] = n, holder, latest - now
  else
    for k = first, final do
      local i = asks[k]
      arrivals[i], changed[i] = arrivals[i] + rates[limits[i]], true
    end
    if is_counted then
      -- Scores differ, so that places do.
      if redis.call('ZADD', users, now + n, who[2]) == 1 then
        counted, answer[2] = counted + 1, answer[2] + 1
        answer[#answer + 1] = n
      end
      is_counting = true
    end
  end
end

for i = 1, #limits do
  if changed[i] then keep(KEYS[i], written(arrivals[i], lines[i])) end
end
if is_counting then redis.call('PEXPIRE', users, DAY / 1000 + spare) end
if is_placing then keep(place_key, last, last + DAY) end

for i = 1, #refused do answer[#answer + 1] = refused[i] end
return answer

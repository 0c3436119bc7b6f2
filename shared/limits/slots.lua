-- Reserve a number's next slots. KEYS: of its pace, of its slowing.
-- The request: step, ahead, horizon (all microseconds), how many are wanted.
-- Returns {how many, microseconds until the first (below 0: it has been free for so long), from each to the next}.
local step = slowed(request.step, (share(redis.call('GET', KEYS[2]))))
local arrival = read(redis.call('GET', KEYS[1]))
local first = arrival - now - request.ahead
local count = math.max(0, math.min(request.wanted, math.floor((request.horizon - first) / step) + 1))
if count > 0 then
  arrival = arrival + count * step
  keep(KEYS[1], arrival, arrival)
end
return {count, first, step}

-- Inbound messages use a number's pace. KEYS: of its pace, of its slowing.
-- The request: step, ahead, how many messages, reach: how far from now they may push the next slot at most.
local step = slowed(request.step, (share(redis.call('GET', KEYS[2]))))
local arrival = read(redis.call('GET', KEYS[1]))
local owed = math.min(arrival + request.count * step, now + request.ahead + request.reach)
if owed > arrival then keep(KEYS[1], owed, owed) end
return {}

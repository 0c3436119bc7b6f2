-- How a number stands; nothing is used. KEYS: of its slowing, of its pace, of its limits. The request: the pace's step (microseconds).
-- Returns {the step as it is now; of each after the slowing how far it has run ahead, in microseconds}.
local answer = {slowed(request.step, (share(redis.call('GET', KEYS[1]))))}
for i = 2, #KEYS do answer[i] = read(redis.call('GET', KEYS[i])) - now end
return answer

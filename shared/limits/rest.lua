-- A pair rests. KEYS: of the limit, of its rests. The request: ahead, longest (exponent), memory (microseconds).
-- Returns {microseconds until the rest is over}.
local count, over = string.match(redis.call('GET', KEYS[2]) or '-1 0', '(%S+) (%S+)')
count, over = tonumber(count), tonumber(over)
if over > now then return {over - now} end
count = over + request.memory > now and math.min(count + 1, request.longest) or 0
over = now + 4 ^ count * 1000000
keep(KEYS[2], string.format('%.0f %.0f', count, over), over + request.memory)
local arrival, line = read(redis.call('GET', KEYS[1]))
keep(KEYS[1], written(math.max(arrival, over + request.ahead), line))
return {over - now}

-- Reserve up to n departures of one key at an even pace (GCRA as a reservation).
-- KEYS[1]: the key. ARGV: microseconds between departures, microseconds they may run ahead, n, microseconds of horizon.
-- Returns {granted, wait of the first in microseconds (may be negative: at once), wait until the one after the last}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local step, ahead, n, horizon = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local first = tat - now - ahead
local room = math.floor((horizon - first) / step) + 1
local granted = math.max(0, math.min(n, room))
if granted > 0 then
  tat = tat + granted * step
  -- %.0f: Lua would keep 14 digits, a time has 16.
  redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
end
return {granted, math.floor(first), math.floor(tat - now - ahead)}

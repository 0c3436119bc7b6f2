-- Stands before every script. KEYS are of one hash slot. ARGV: the request as JSON; microseconds since 1970 or '' for the server's time.
local request = cjson.decode(ARGV[1])
local now, spare = tonumber(ARGV[2]), 3600000
if not now then
  local t = redis.call('TIME')
  now, spare = t[1] * 1000000 + t[2], 1
end

-- Numbers go to the server with all their 16 digits; made strings by Lua itself they would have 14.
local function keep(key, value, moment)
  redis.call('SET', key, value, 'PX', math.ceil((moment - now) / 1000) + spare)
end

-- The state of a limit: its theoretical arrival time and, where some were refused, the next place in the line of each tier.
local function read(value)
  if not value then return now end
  local arrival = tonumber(value)
  if arrival then return math.max(arrival, now) end
  local a, l0, l1, l2, l3 = string.match(value, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  return math.max(tonumber(a), now), {tonumber(l0), tonumber(l1), tonumber(l2), tonumber(l3)}
end

local function written(arrival, line)
  if not line or line[4] <= now then return arrival, arrival end
  return string.format('%.0f %.0f %.0f %.0f %.0f', arrival, unpack(line)), math.max(arrival, line[4])
end

-- CUBIC: when a number was slowed, the share of its rate before, and milliseconds until it is back there. 0.0003 makes a cut of 0.3
-- good in ten seconds. Products, not powers: the model must come to the same last bit.
local CLIMB = 0.0003
local function share(value)
  if not value then return 1 end
  local cut, top, flat = string.match(value, '(%S+) (%S+) (%S+)')
  local x = (now - tonumber(cut)) / 1000000 - tonumber(flat) / 1000
  return math.min(1, tonumber(top) + CLIMB * (x * x * x)), tonumber(cut)
end

local function slowed(step, part)
  local slowest = math.max(step, 1000000)
  if part <= 0 then return slowest end
  return math.min(math.ceil(step / part), slowest)
end

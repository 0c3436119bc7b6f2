-- Slow a number. KEYS: of the slowing. The request: factor (1 only looks), step, microseconds between cuts.
-- Returns {the step as it is now, in microseconds}.
local part, cut = share(redis.call('GET', KEYS[1]))
if request.factor < 1 and not (cut and now - cut < request.apart) then
  local flat = math.floor(((part - part * request.factor) / CLIMB) ^ (1 / 3) * 1000 + 0.5)
  local value = string.format('%.0f %.17g %.0f', now, part, flat)
  keep(KEYS[1], value, now + 30000000) -- whatever it was, by then it is all of the rate again
  part = share(value)
end
return {slowed(request.step, part)}

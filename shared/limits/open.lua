-- Open customer service windows; none is shortened. KEYS: of each. The request: for each its microseconds.
for i, span in ipairs(request.spans) do
  local moment = now + span
  if moment > tonumber(redis.call('GET', KEYS[i]) or 0) then keep(KEYS[i], moment, moment) end
end
return {}

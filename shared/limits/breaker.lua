-- One circuit, shared by all replicas: the rules of Machine in breaker.py, on the server's clock.
-- KEYS[1]: the circuit, a JSON object with Machine's fields.
-- ARGV: the policy {half_window, open, lease, keep (all ms), threshold, share, probes}, the report {settled: [[token, ok]],
-- returned: [token], ok, failed, released, wanted: token}, and the time in ms where a test sets it.
-- Returns {since, state (0 closed, 1 half-open, 2 open), ms until half-open, probes free, 1 where the wanted lease is given}.
local policy, report, now = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), tonumber(ARGV[3])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local stored = redis.call('GET', KEYS[1])
local c = stored and cjson.decode(stored) or {
  since = 0, half_open_at = 0, stage = 0, answered = 0, leases = {},
  half_started = 0, ok = 0, failed = 0, ok_before = 0, failed_before = 0,
}

local function begin_half(start, ok_before, failed_before)
  c.half_started, c.ok, c.failed, c.ok_before, c.failed_before = start, 0, 0, ok_before, failed_before
end

local function change(half_open_at, half_started)
  c.since, c.half_open_at, c.stage, c.answered, c.leases = now, half_open_at, 0, 0, {}
  begin_half(half_started, 0, 0)
end

local function free()
  local left = policy.probes[c.stage + 1] - c.answered
  for _, lease_end in pairs(c.leases) do
    if lease_end > now then left = left - 1 end
  end
  return left
end

local function count(ok, failed)
  if c.half_open_at > 0 then return end
  local elapsed = now - c.half_started
  if elapsed >= 2 * policy.half_window then
    begin_half(now, 0, 0)
  elseif elapsed >= policy.half_window then
    begin_half(c.half_started + policy.half_window, c.ok, c.failed)
  end
  c.ok, c.failed = c.ok + ok, c.failed + failed
  if failed == 0 then return end
  local failures = c.failed + c.failed_before
  local calls = failures + c.ok + c.ok_before
  if failures >= policy.threshold and failures >= policy.share * calls then
    change(now + policy.open, 0)
  end
end

local function settle(token, ok)
  if c.half_open_at == 0 then
    count(ok and 1 or 0, ok and 0 or 1)
  elseif c.leases[token] then
    c.leases[token] = nil
    if not ok then
      change(now + policy.open, 0)
    else
      c.answered = c.answered + 1
      if c.answered == policy.probes[c.stage + 1] then
        c.stage, c.answered = c.stage + 1, 0
        if c.stage == #policy.probes then change(0, now) end
      end
    end
  end
end

local function lease(token)
  if c.half_open_at == 0 or now < c.half_open_at or free() < 1 then return 0 end
  for other, lease_end in pairs(c.leases) do
    if lease_end <= now then c.leases[other] = nil end
  end
  c.leases[token] = now + policy.lease
  return 1
end

for _, probe in ipairs(report.settled or {}) do settle(probe[1], probe[2]) end
for _, token in ipairs(report.returned or {}) do c.leases[token] = nil end
if report.ok then count(report.ok, report.failed) end
if report.released then c.half_open_at = math.min(c.half_open_at, now) end
local given = report.wanted and lease(report.wanted) or 0
if next(report) then redis.call('SET', KEYS[1], cjson.encode(c), 'PX', policy.keep) end
local state = c.half_open_at == 0 and 0 or now < c.half_open_at and 2 or 1
return {c.since, state, math.max(0, c.half_open_at - now), free(), given}

-- KEYS ended, then for each scope failures, attempts, tripped; ARGV find time, life of an attempt,
-- how long it settles, the attempt, then the limit of each scope, then the failure. Answers which
-- scope trips, counted from 1, or 0, and how many failures the client has.
local time = now()
local tripped, failures = 0, 0
-- A begin that this has overtaken finds it.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
for i = 2, #KEYS, 3 do
  local scope = (i + 1) / 3
  add(KEYS[i], ARGV[#ARGV], time, tonumber(ARGV[1]))
  sorted(KEYS[i + 1])
  redis.call('ZREM', KEYS[i + 1], ARGV[4])
  local count = redis.call('ZCARD', KEYS[i])
  if scope == 1 then
    failures = count
  end
  if count >= tonumber(ARGV[4 + scope]) then
    tripped = scope
    redis.call('SET', KEYS[i + 2], '1', 'PX', ARGV[3])
    redis.call('DEL', KEYS[i], KEYS[i + 1])
  end
end
return { tripped, failures }

-- KEYS failures, attempts, tripped; ARGV limit, find time, the attempt, how long it settles.
-- Answers how many failures there are.
add(KEYS[1], ARGV[3], now(), tonumber(ARGV[2]))
local failures = redis.call('ZCARD', KEYS[1])
if failures >= tonumber(ARGV[1]) then
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
  redis.call('DEL', KEYS[1], KEYS[2])
else
  sorted(KEYS[2])
  redis.call('ZREM', KEYS[2], ARGV[3])
end
return failures

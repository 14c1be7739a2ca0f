-- KEYS ended, then for each scope failures, attempts, tripped; ARGV life of an attempt, the attempt,
-- how the failures that are forgiven end (empty: none are).
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
for i = 2, #KEYS, 3 do
  redis.pcall('ZREM', KEYS[i + 1], ARGV[2])
end
if ARGV[3] ~= '' then
  forget(KEYS, 2, ARGV[3])
end
return 1

-- KEYS day; ARGV how many are known to be spent, checks, how long to keep the count. Answers how
-- many the day has.
local spent = math.max(count(KEYS[1]), tonumber(ARGV[1]))
spent = math.min(spent + tonumber(ARGV[2]), 4294967295)
redis.call('SET', KEYS[1], number(spent), 'PX', ARGV[3])
return spent

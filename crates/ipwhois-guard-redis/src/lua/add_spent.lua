-- KEYS day; ARGV checks, how long to keep the count. Answers how many the day has.
local spent = math.min(count(KEYS[1]) + tonumber(ARGV[1]), 4294967295)
redis.call('SET', KEYS[1], number(spent), 'PX', ARGV[2])
return spent

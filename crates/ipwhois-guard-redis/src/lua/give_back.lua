-- KEYS granted; ARGV checks, how long to keep the count.
local granted, birth = granted_count(KEYS[1])
if birth then
  granted = math.max(0, granted - tonumber(ARGV[1]))
  redis.call('SET', KEYS[1], '1 ' .. number(granted) .. ' ' .. birth, 'PX', ARGV[2])
end
return 1

-- KEYS granted, machines; ARGV limit, checks, known count, its birth, a birth, this machine, how
-- long to keep the count, how long a machine counts, whether it does. Answers the checks, the count
-- with them, its birth, and how many machines spend checks.
local granted, birth = granted_count(KEYS[1])
if not birth then
  birth = ARGV[5]
end
if birth ~= ARGV[4] then
  granted = math.max(granted, tonumber(ARGV[3]))
end
local checks = math.max(0, math.min(tonumber(ARGV[2]), tonumber(ARGV[1]) - granted))
granted = granted + checks
redis.call('SET', KEYS[1], '1 ' .. number(granted) .. ' ' .. birth, 'PX', ARGV[7])
local time = now()
local span = tonumber(ARGV[8])
if ARGV[9] == '1' then
  add(KEYS[2], ARGV[6], time, span)
end
return { checks, granted, birth, young(KEYS[2], time, span) }

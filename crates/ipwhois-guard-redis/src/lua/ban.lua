-- KEYS bans; ARGV client, length, longest length, most bans, channel, announcement.
local time = now()
local longest = tonumber(ARGV[3])
local last = time + longest
sorted(KEYS[1])
redis.call('ZADD', KEYS[1], number(time + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', number(time))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. number(last), '+inf')
-- Those that end first make room.
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
local latest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if latest[2] then
  redis.call('PEXPIREAT', KEYS[1], number(tonumber(latest[2])))
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1

-- KEYS bans; ARGV client, channel, announcement.
redis.pcall('ZREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1

-- KEYS bans, since when, lifted; ARGV longest length, how long a lift is kept, most of them, channel,
-- then for each ban or lift the scope, its age, what is left (0: a lift). Of one scope the latest
-- counts.
local time = now()
for i = 1, 3 do
  sorted(KEYS[i])
end
local function trim(key, mate, low, high)
  for _, scope in ipairs(redis.call('ZRANGEBYSCORE', key, low, high)) do
    redis.call('ZREM', key, scope)
    redis.call('ZREM', mate, scope)
  end
end
for i = 5, #ARGV, 3 do
  local scope = ARGV[i]
  local at, ends = time - tonumber(ARGV[i + 1]), time + tonumber(ARGV[i + 2])
  local until_when = tonumber(redis.call('ZSCORE', KEYS[1], scope) or 0)
  local since = tonumber(redis.call('ZSCORE', KEYS[2], scope) or 0)
  local lifted = tonumber(redis.call('ZSCORE', KEYS[3], scope) or 0)
  local news = nil
  if ends > time then
    -- Clocks and trips differ by a moment: that is no news.
    if at > lifted and (until_when <= time or ends > until_when + 1000) then
      redis.call('ZADD', KEYS[1], number(ends), scope)
      redis.call('ZREM', KEYS[3], scope)
      news = 'ban ' .. scope .. ' ' .. number(ends - time)
    end
    if at > lifted then
      redis.call('ZADD', KEYS[2], number(math.max(at, since)), scope)
    end
  elseif (until_when <= time or at >= since) and (lifted == 0 or until_when > time) then
    redis.call('ZADD', KEYS[3], number(math.max(at, lifted)), scope)
    redis.call('ZREM', KEYS[1], scope)
    redis.call('ZREM', KEYS[2], scope)
    news = 'unban ' .. scope
  end
  if news then
    local age = tonumber(ARGV[i + 1])
    redis.call('PUBLISH', ARGV[4], '1 ' .. news .. (age > 0 and ' ' .. number(age) or ''))
  end
end
trim(KEYS[1], KEYS[2], '-inf', number(time))
trim(KEYS[1], KEYS[2], '(' .. number(time + tonumber(ARGV[1])), '+inf')
trim(KEYS[3], KEYS[3], '-inf', number(time - tonumber(ARGV[2])))
-- Those that end first, and the oldest lifts, make room.
for _, key in ipairs({ KEYS[1], KEYS[3] }) do
  for _, scope in ipairs(redis.call('ZRANGE', key, 0, -1 - tonumber(ARGV[3]))) do
    redis.call('ZREM', key, scope)
    redis.call('ZREM', KEYS[2], scope)
  end
end
local latest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if latest[2] then
  redis.call('PEXPIREAT', KEYS[1], number(tonumber(latest[2])))
  redis.call('PEXPIREAT', KEYS[2], number(tonumber(latest[2])))
end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 1

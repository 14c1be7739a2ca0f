-- In front of every script. A key of another type, or with something else in it, counts as one that
-- is not there; what is written goes over it. Nothing is written before the first command that
-- memory may be lacking for, so that a server that is full refuses the whole script.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' and #value <= 128 then
    return value
  end
  return ''
end

-- A day's count and its birth; 0 and nothing when it is not there.
local function granted_count(key)
  local count, birth = string.match(text(key), '^1 (%d+) (%x+)$')
  if birth and #count <= 10 and tonumber(count) <= 4294967295 then
    return tonumber(count), birth
  end
  return 0, nil
end

local function number(value)
  return string.format('%.0f', value)
end

-- Makes room for a sorted set where a key of another type is.
local function sorted(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'zset' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end

-- How many members a sorted set of times has that are younger than `span`.
local function young(key, time, span)
  local members = redis.pcall('ZCOUNT', key, '(' .. number(time - span), number(time + span))
  return type(members) == 'number' and members or 0
end

-- Adds to a sorted set of times, and forgets what is no longer young.
local function add(key, member, time, span)
  sorted(key)
  redis.call('ZADD', key, number(time), member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', number(time - span))
  redis.call('ZREMRANGEBYSCORE', key, '(' .. number(time + span), '+inf')
  redis.call('PEXPIRE', key, number(span))
end

-- How long until the first of them is no longer young; `span` when there is none.
local function left(key, time, span)
  local first = redis.pcall('ZRANGEBYSCORE', key, '(' .. number(time - span), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return first[2] and math.max(tonumber(first[2]) + span - time, 1) or span
end

-- Forgets the client's failures that end so, in each scope from key `first` on.
local function forget(keys, first, ending)
  local failures = redis.pcall('ZRANGE', keys[first], 0, -1)
  for _, failure in ipairs(failures.err and {} or failures) do
    if ending == '' or string.sub(failure, -#ending) == ending then
      for i = first, #keys, 3 do
        redis.pcall('ZREM', keys[i], failure)
      end
    end
  end
end

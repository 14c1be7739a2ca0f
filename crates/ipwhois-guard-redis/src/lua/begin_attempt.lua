-- KEYS failures, attempts, tripped; ARGV limit, find time, the attempt, how long it settles.
-- Answers 1: begun, or 0: refused.
local time = now()
local span = tonumber(ARGV[2])
local settles = redis.call('PTTL', KEYS[3])
if settles > 0 and settles <= tonumber(ARGV[4]) then
  return 0
end
if young(KEYS[1], time, span) + young(KEYS[2], time, span) >= tonumber(ARGV[1]) then
  return 0
end
add(KEYS[2], ARGV[3], time, span)
return 1

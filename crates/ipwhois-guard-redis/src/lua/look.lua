-- KEYS verdict, lease; ARGV this machine's lease, its length. Answers the verdict, or 1: leased, or
-- 0: another has it.
local verdict = text(KEYS[1])
if string.sub(verdict, 1, 2) == '1 ' then
  return verdict
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
-- Not one of ours, or one that would never end.
if string.find(text(KEYS[2]), '^1 %x+$') and redis.call('PTTL', KEYS[2]) >= 0 then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1

-- KEYS day, rations; ARGV how many are known to be spent, then for each key: below, how long to
-- keep it. Answers what came of it, and how many the day has. 0: spent, 1: no budget, 2: rationed.
local spent = math.max(count(KEYS[1]), tonumber(ARGV[1]))
if spent >= tonumber(ARGV[2]) then
  return { 1, spent }
end
for i = 2, #KEYS do
  if count(KEYS[i]) >= tonumber(ARGV[2 * i]) then
    return { 2, spent }
  end
end
redis.call('SET', KEYS[1], number(spent + 1), 'PX', ARGV[3])
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], number(count(KEYS[i]) + 1), 'PX', ARGV[2 * i + 1])
end
return { 0, spent + 1 }

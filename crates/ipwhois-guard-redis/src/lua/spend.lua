-- KEYS day, rations; ARGV for each: below, how long to keep it. Answers what came of it, and how many the day has.
-- 0: spent, 1: no budget, 2: rationed.
local spent = count(KEYS[1])
if spent >= tonumber(ARGV[1]) then
  return { 1, spent }
end
for i = 2, #KEYS do
  if count(KEYS[i]) >= tonumber(ARGV[2 * i - 1]) then
    return { 2, spent }
  end
end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], number(count(KEYS[i]) + 1), 'PX', ARGV[2 * i])
end
return { 0, spent + 1 }

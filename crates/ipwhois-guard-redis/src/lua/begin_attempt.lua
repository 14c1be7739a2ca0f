-- KEYS ended, then for each scope failures, attempts, tripped; ARGV find time, life of an attempt,
-- how long it settles, the attempt, then the limit of each scope. Answers 1: begun, or 0: refused,
-- in how long a place is free in any case, whether attempts are under way.
local time = now()
local span, life = tonumber(ARGV[1]), tonumber(ARGV[2])
if text(KEYS[1]) ~= '' then
  return { 0, life, 0 }
end
for i = 2, #KEYS, 3 do
  local settles = redis.call('PTTL', KEYS[i + 2])
  if settles > 0 and settles <= tonumber(ARGV[3]) then
    return { 0, settles, 0 }
  end
  local failed, under_way = young(KEYS[i], time, span), young(KEYS[i + 1], time, life)
  if failed + under_way >= tonumber(ARGV[4 + (i + 1) / 3]) then
    local free = math.min(left(KEYS[i], time, span), left(KEYS[i + 1], time, life))
    return { 0, free, under_way > 0 and 1 or 0 }
  end
end
for i = 2, #KEYS, 3 do
  add(KEYS[i + 1], ARGV[4], time, life)
end
return { 1, 0, 0 }

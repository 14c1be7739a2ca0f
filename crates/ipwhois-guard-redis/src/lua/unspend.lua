-- KEYS day, rations.
for i = 1, #KEYS do
  if count(KEYS[i]) > 0 then
    redis.call('DECR', KEYS[i])
  end
end
return 1

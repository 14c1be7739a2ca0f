-- KEYS the key of accounts, epoch; ARGV the key and the epoch if there is none. Answers both.
for i = 1, 2 do
  if text(KEYS[i]) == '' then
    redis.call('SET', KEYS[i], ARGV[i])
  end
end
return { text(KEYS[1]), text(KEYS[2]) }

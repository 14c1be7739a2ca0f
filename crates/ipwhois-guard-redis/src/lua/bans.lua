-- KEYS bans; ARGV cursor, how many about. Answers the next cursor, then clients, each followed by
-- what is left of its ban, which is nothing when it is over.
local time = now()
local page = redis.pcall('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if page.err then
  return { '0' }
end
local bans = { page[1] }
for i = 1, #page[2], 2 do
  if #page[2][i] <= 64 then
    bans[#bans + 1] = page[2][i]
    bans[#bans + 1] = number(tonumber(page[2][i + 1]) - time)
  end
end
return bans

-- KEYS bans or lifts, since when; ARGV cursor, how many about. Answers the next cursor, then scopes,
-- each followed by how long ago it was said, and what is left of its ban, which is nothing when it is
-- over. Of a lift the first key says when it was.
local time = now()
local page = redis.pcall('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if page.err then
  return { '0' }
end
local bans = { page[1] }
for i = 1, #page[2], 2 do
  if #page[2][i] <= 64 then
    local score = tonumber(page[2][i + 1])
    local since, rest = score, 0
    if KEYS[2] then
      since = redis.pcall('ZSCORE', KEYS[2], page[2][i])
      since, rest = type(since) == 'string' and tonumber(since) or time, score - time
    end
    bans[#bans + 1] = page[2][i]
    bans[#bans + 1] = number(math.max(time - since, 0))
    bans[#bans + 1] = number(rest)
  end
end
return bans

-- Takes one from a quota, by the clock of this server.
-- KEYS: until when the quota is used. ARGV: the microseconds in which one comes back, and in which the whole quota does.
-- Returns whether one was granted, and in how many microseconds the quota is full again.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local one, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_in = tonumber(redis.call('GET', KEYS[1]) or 0) - now
if full_in < 0 or full_in > full then
  full_in = 0
end
if full_in + one > full then
  return { 0, full_in }
end
full_in = full_in + one
redis.call('SET', KEYS[1], string.format('%.0f', now + full_in), 'PX', math.ceil(full_in / 1000))
return { 1, full_in }

-- Stores an entry, unless a later one is there or the lease it was made under has run out.
-- KEYS: the entry, its lock. ARGV: the entry, its time to live in milliseconds or '' for ever, the token of the lease or ''.
local entry, ttl, token = ARGV[1], ARGV[2], ARGV[3]

if token ~= '' then
  if redis.call('GET', KEYS[2]) ~= token then
    return 0
  end
  redis.call('DEL', KEYS[2])
end

-- The layout is in entry.rs: format, born, stored_at.
local present = redis.call('GETRANGE', KEYS[1], 0, 16)
if #present == 17 and string.byte(present) == string.byte(entry) then
  local born, stored_at = struct.unpack('>I8>i8', entry, 2)
  local present_born, present_stored_at = struct.unpack('>I8>i8', present, 2)
  if present_born > born or (present_born == born and present_stored_at > stored_at) then
    return 0
  end
end

if ttl == '' then
  redis.call('SET', KEYS[1], entry)
else
  redis.call('SET', KEYS[1], entry, 'PX', ttl)
end
return 1

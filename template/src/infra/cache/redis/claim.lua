-- Takes the lock of a key if it is free, and reads the entry of the key in any case.
-- KEYS: the entry, its lock. ARGV: the token of the lease, its milliseconds.
local is_ours = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return { is_ours and 1 or 0, redis.call('GET', KEYS[1]) }

-- Lengthens a lease that is still held. KEYS: the lock. ARGV: the token of the lease, its milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

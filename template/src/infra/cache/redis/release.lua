-- Ends a lease that is still held. KEYS: the lock. ARGV: the token of the lease.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])

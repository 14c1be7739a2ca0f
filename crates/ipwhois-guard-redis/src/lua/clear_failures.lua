-- KEYS for each scope failures, attempts, tripped.
forget(KEYS, 1, '')
redis.call('DEL', KEYS[3])
return 1

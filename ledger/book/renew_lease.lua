#!lua
--[[
  Take a lease, or keep the one that is held.

  KEYS[1]  lease  string  who holds it
  ARGV[1]  who asks
  ARGV[2]  for how many milliseconds

  Returns 1 if the lease is held by who asks, else 0.
]]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

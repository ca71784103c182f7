#!lua
--[[
  Remove from the outbox what was relayed, from the head, and only while it is still the same.

  KEYS[1]  outbox  list  alerts that are not on the topic yet
  ARGV[1]  the oldest entry that was relayed, ARGV[2] the next, and so on

  Returns how many entries were removed.
  Why a script: after Redis went back another alert may lie at the head; removed unseen, it would never be told.
]]
for i = 1, #ARGV do
  if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[i] then return i - 1 end
  redis.call('LPOP', KEYS[1])
end
return #ARGV

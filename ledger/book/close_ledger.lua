#!lua
--[[
  Close the ledger for an adoption, so that nothing is posted until it is decided on.

  KEYS[1]  meta     hash  adoption (how many were decided on), adopting (what the ledger is closed for)
  ARGV[1]  number   the adoption's: one more than were decided on
  ARGV[2]  closure  in JSON

  Returns {status, ...}
    "closed"   the ledger is closed; for what follows: an adoption that was under way before stands
    "decided"  this number is decided on, or an earlier one is not yet: nothing written; how many are follows
]]
local meta = redis.call('HMGET', KEYS[1], 'adoption', 'adopting')
local decided = tonumber(meta[1] or '0')
if decided ~= ARGV[1] - 1 then return {'decided', decided} end
if meta[2] then return {'closed', meta[2]} end
redis.call('HSET', KEYS[1], 'adopting', ARGV[2])
return {'closed', ARGV[2]}

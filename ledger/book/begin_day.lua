#!lua
--[[
  Begin the ledger's next day: from now on every account is measured by the caps of that day.

  KEYS[1]  meta      hash  today, adoption, adopting
  KEYS[2]  balances  hash  account|period -> record (post_batch.lua)
  KEYS[3]  outbox    list  alerts that are not on the topic yet
  ARGV[1]  adoption  number of the newest adoption the worker knows of
  ARGV[2]  before    the day as it was read, "" for none
  ARGV[3]  today     the day that begins, such as 2026-07-01
  ARGV[4]  count     how many accounts there were when they were read
  ARGV[5]  accounts  JSON rows [field, expected record, record to write] of those whose cap is another now
  ARGV[6]  first alert for the outbox, and so on

  Returns {status, ...}
    "begun"     done
    "moved"     an account, or the day, is another than was read: nothing written, read again
    "adopting"  the ledger is closed for the adoption that follows, in JSON: nothing written, wait
    "policy"    the newest adoption is the one that follows ("" if there is none): nothing written, measure again
  Why a script: a posting measured by the day before must not come between. One that comes later is told the day.
]]
local meta = redis.call('HMGET', KEYS[1], 'today', 'adoption', 'adopting')
if meta[3] then return {'adopting', meta[3]} end
if meta[2] ~= ARGV[1] then return {'policy', meta[2] or ''} end
if (meta[1] or '') ~= ARGV[2] or redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return {'moved'} end
local rows = cjson.decode(ARGV[5])
for _, row in ipairs(rows) do
  if redis.call('HGET', KEYS[2], row[1]) ~= row[2] then return {'moved'} end
end
for _, row in ipairs(rows) do redis.call('HSET', KEYS[2], row[1], row[3]) end
for i = 6, #ARGV do redis.call('RPUSH', KEYS[3], ARGV[i]) end
redis.call('HSET', KEYS[1], 'today', ARGV[3])
return {'begun'}

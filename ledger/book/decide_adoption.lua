#!lua
--[[
  Take over one record of quota.settings that decides on an adoption: the policy is in force, or the adoption is given
  up; either way the ledger is open again. The first record of a number decides, further ones change nothing.

  KEYS[1]  meta       hash  checkpoint:<partition>, adoption, adopting, policy, entries, today
  KEYS[2]  policies   hash  SHA-256 -> adopted document
  KEYS[3]  adoptions  hash  number -> adoption
  KEYS[4]  balances   hash  account|period -> the account's record
  KEYS[5]  outbox     list  alerts that are not on the topic yet
  ARGV[1]  partition  of quota.settings, "<topic>:<number>"
  ARGV[2]  prev       offset delivered before this record, -1 for none
  ARGV[3]  last       its own offset, to which the checkpoint moves
  ARGV[4]  number     the adoption's
  ARGV[5]  what the record does: "adopt", "give up", or "pass over" if its number was decided on before; all that
           follows belongs to "adopt"
  ARGV[6]  sha256     of the policy
  ARGV[7]  document   the policy in JSON
  ARGV[8]  adoption   in JSON
  ARGV[9]  begins     JSON, partition of shipments -> first offset that the policy rules
  ARGV[10] entries    the journal's last number when the accounts were read, "" for none
  ARGV[11] accounts   JSON rows [field, expected record, record to write] of those that are measured anew
  ARGV[12] before     the ledger's day by which the accounts were measured when they were read, "" for none
  ARGV[13] today      its day from now on: that of the adoption, unless it is further
  ARGV[14] first alert for the outbox, and so on

  Returns {status, ...}
    "kept"    the record is taken over, or passed over because its number was decided on; the checkpoint follows
    "fenced"  the checkpoint, which follows, is below prev: nothing written, Redis has forgotten
    "moved"   something was posted or decided since all this was read: nothing written, read it again
    "late"    records that this policy rules are settled under another: nothing written; partition, its checkpoint and
              the first offset that the policy rules follow
  Why a script: a posting between reading the accounts and opening would be measured by the limits before.
]]
local name = 'checkpoint:' .. ARGV[1]
local meta = redis.call('HMGET', KEYS[1], name, 'adoption', 'entries', 'today')
local checkpoint, decided, number = meta[1] or '-1', tonumber(meta[2] or '0'), tonumber(ARGV[4])
if tonumber(checkpoint) < tonumber(ARGV[2]) then return {'fenced', checkpoint} end
if tonumber(checkpoint) < tonumber(ARGV[3]) then checkpoint = ARGV[3] end
if ARGV[5] == 'pass over' and decided >= number then
  redis.call('HSET', KEYS[1], name, checkpoint)
  return {'kept', checkpoint}
end
if decided ~= number - 1 or ARGV[5] == 'pass over' then return {'moved'} end

if ARGV[5] == 'adopt' then
  if (meta[3] or '') ~= ARGV[10] or (meta[4] or '') ~= ARGV[12] then return {'moved'} end
  local begins, topics = cjson.decode(ARGV[9]), {}
  for partition in pairs(begins) do topics[string.match(partition, '^(.*):')] = true end
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local partition = string.match(all[i], '^checkpoint:(.*)$')
    local begin = partition and topics[string.match(partition, '^(.*):')] and (begins[partition] or 0)
    if begin and tonumber(all[i + 1]) >= begin then
      return {'late', partition, all[i + 1], string.format('%.0f', begin)}
    end
  end
  local rows = cjson.decode(ARGV[11])
  for _, row in ipairs(rows) do
    if redis.call('HGET', KEYS[4], row[1]) ~= row[2] then return {'moved'} end
  end
  for _, row in ipairs(rows) do redis.call('HSET', KEYS[4], row[1], row[3]) end
  for i = 14, #ARGV do redis.call('RPUSH', KEYS[5], ARGV[i]) end
  redis.call('HSET', KEYS[2], ARGV[6], ARGV[7])
  redis.call('HSET', KEYS[3], ARGV[4], ARGV[8])
  redis.call('HSET', KEYS[1], 'policy', ARGV[6])
  if ARGV[13] ~= '' then redis.call('HSET', KEYS[1], 'today', ARGV[13]) end
end
redis.call('HSET', KEYS[1], 'adoption', ARGV[4], name, checkpoint)
redis.call('HDEL', KEYS[1], 'adopting')
return {'kept', checkpoint}

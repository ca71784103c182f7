#!lua
--[[
  Have an alert delivered to a webhook because a person asked for it, once more or for the first time.

  KEYS[1]  jobs       hash  job id -> {webhook_id, alert_id, entry or alert, sequence, since_ms, failed, claim} in JSON
  KEYS[2]  due        sorted set of the webhook, job id by the ms it is due
  KEYS[3]  urgent     the same of those jobs that wait behind no other
  KEYS[4]  sequences  hash  webhook id -> number of its last delivery
  KEYS[5]  alert_ids  hash  alert id -> offset of its first record

  ARGV[1]  webhook   its id
  ARGV[2]  alert     its id
  ARGV[3]  now_ms    when it is due
  ARGV[4]  sequence  of the delivery that is repeated; "" for the next number
  ARGV[5]  text      of an alert that stands in no feed, in JSON: it is tried once; "" for one of the feed

  Returns {status}
    "ordered"  it is due
    "unknown"  the feed has no such alert: nothing written
  Why a script: a job that is under way is only made due, or two would share its id.
]]
local job = ARGV[1] .. ':' .. ARGV[2]
local text = redis.call('HGET', KEYS[1], job)
local due = text and cjson.decode(text).urgent and KEYS[3] or KEYS[2]
if not text then
  local fields = {webhook_id = ARGV[1], alert_id = ARGV[2], since_ms = tonumber(ARGV[3]), failed = 0, claim = 0}
  if ARGV[5] ~= '' then
    fields.alert = ARGV[5]
  else
    local offset = redis.call('HGET', KEYS[5], ARGV[2])
    if not offset then return {'unknown'} end
    fields.entry = string.format('%.0f-0', offset + 1)
  end
  fields.sequence = tonumber(ARGV[4]) or redis.call('HINCRBY', KEYS[4], ARGV[1], 1)
  redis.call('HSET', KEYS[1], job, cjson.encode(fields))
end
redis.call('ZADD', due, 'LT', ARGV[3], job)
return {'ordered'}

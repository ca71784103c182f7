#!lua
--[[
  Take over one run of the alerts topic: all of it or nothing, each alert once.

  KEYS[1]  meta       hash    checkpoint:<partition>, told_until_ms
  KEYS[2]  alerts     stream  the feed: an entry <offset + 1>-0 an alert, with kind, country and the alert in JSON
  KEYS[3]  alert_ids  hash    alert id -> offset of its first record
  KEYS[4]  webhooks   hash    webhook id -> subscription in JSON
  KEYS[5]  jobs       hash    job id -> {webhook_id, alert_id, entry, sequence, since_ms, failed, claim} in JSON, and
                              urgent: true in one that waits behind no other
  KEYS[6]  sequences  hash    webhook id -> number of its last delivery
  KEYS[7]  urgent of the first webhook
  KEYS[8]  due of the first webhook, and so on in the order of ARGV[6]: sorted sets, job id by the ms it is due; first
           come the urgent ones, then all others

  ARGV[1]  partition   "<topic>:<number>"
  ARGV[2]  prev        offset delivered before this run, -1 for none
  ARGV[3]  last        offset the checkpoint moves to
  ARGV[4]  now_ms      when the jobs are due
  ARGV[5]  told_until_ms  noted in meta; "" for nothing to note
  ARGV[6]  webhooks    JSON list of the webhook ids the caller chose from
  ARGV[7]  read        SHA-1 of those subscriptions as the caller read them, each followed by a zero byte
  ARGV[8]  first alert's offset, then its id, kind, country ("" for none), JSON, the webhooks it goes to as positions
           in ARGV[6], separated by spaces, and "1" if it waits behind no other, else "0"; seven arguments an alert

  Returns {status, ...}
    "settled"  the checkpoint is at last; how many alerts were new and how many jobs they gave follow
    "behind"   prev is below the checkpoint, which follows: nothing written, drop what is at or below it
    "fenced"   the checkpoint, which follows, is below prev: nothing written, this ledger has forgotten; stop
    "changed"  a subscription came, went or changed since it was read: nothing written, choose again
  Why a script: a crash between feed, jobs and checkpoint would lose a delivery or make it twice.
]]
local FIRST, FIELDS, BEFORE_DUE = 8, 7, 6
local field, prev = 'checkpoint:' .. ARGV[1], tonumber(ARGV[2])
local checkpoint = tonumber(redis.call('HGET', KEYS[1], field) or '-1')
if prev < checkpoint then return {'behind', checkpoint} end
if checkpoint < prev then return {'fenced', checkpoint} end

local webhooks, found = cjson.decode(ARGV[6]), {}
for i, webhook in ipairs(webhooks) do
  found[i] = (redis.call('HGET', KEYS[4], webhook) or '') .. '\0'
end
if redis.call('HLEN', KEYS[4]) ~= #webhooks or redis.sha1hex(table.concat(found)) ~= ARGV[7] then
  return {'changed'}
end

local new, jobs = 0, 0
for at = FIRST, #ARGV, FIELDS do
  local offset, alert, kind, country, text = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  if redis.call('HSETNX', KEYS[3], alert, offset) == 1 then
    local entry = string.format('%.0f-0', offset + 1)
    -- a thousandth of a millisecond apart, so that what is due at once keeps the order of the topic
    local since, urgent = ARGV[4] + new / 1000, ARGV[at + 6] == '1' or nil
    redis.call('XADD', KEYS[2], entry, 'kind', kind, 'country', country, 'alert', text)
    for position in string.gmatch(ARGV[at + 5], '%d+') do
      local webhook = webhooks[tonumber(position)]
      local job = webhook .. ':' .. alert
      redis.call('HSET', KEYS[5], job, cjson.encode({
        webhook_id = webhook, alert_id = alert, entry = entry, since_ms = tonumber(ARGV[4]), failed = 0, claim = 0,
        sequence = redis.call('HINCRBY', KEYS[6], webhook, 1), urgent = urgent,
      }))
      redis.call('ZADD', KEYS[BEFORE_DUE + 2 * position - (urgent and 1 or 0)], since, job)
      jobs = jobs + 1
    end
    new = new + 1
  end
end
redis.call('HSET', KEYS[1], field, ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'told_until_ms', ARGV[5]) end
return {'settled', new, jobs}

#!lua
--[[
  Lease due jobs to one sender.

  KEYS[1]  jobs    hash    job id -> {webhook_id, alert_id, entry, sequence, since_ms, failed, claim} in JSON; in the
                           place of entry, alert is one that stands in no feed
  KEYS[2]  alerts  stream  the feed
  KEYS[3]  urgent of the first webhook
  KEYS[4]  due of the first webhook, and so on in the order of ARGV[4]: sorted sets, job id by the ms it is due; the urgent
           ones are leased before all others

  ARGV[1]  now_ms
  ARGV[2]  lease_ms  after this long without a note the sender counts as dead, and the job is due again
  ARGV[3]  count     how many jobs to lease at most
  ARGV[4]  how many of them the first webhook may have, and so on

  Returns a list of {job id, job in JSON, alert in JSON}; `claim` in the job is new with every lease.
  Why a script: two senders reading before either writes would both post the same job.
]]
local FIRST_URGENT, FIRST_COUNT = 3, 4
local leased = {}

-- Lease up to `count` jobs of one sorted set; returns how many of them are left to lease.
local function lease(due, count)
  for _, id in ipairs(redis.call('ZRANGE', due, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, count)) do
    local text = redis.call('HGET', KEYS[1], id)
    local job = text and cjson.decode(text)
    local entry = job and job.entry and redis.call('XRANGE', KEYS[2], job.entry, job.entry)[1]
    local alert = entry and entry[2][6] or job and job.alert
    if alert then
      job.claim = job.claim + 1
      text = cjson.encode(job)
      redis.call('HSET', KEYS[1], id, text)
      redis.call('ZADD', due, ARGV[1] + ARGV[2], id)
      leased[#leased + 1] = {id, text, alert}
      count = count - 1
    else -- somebody trimmed the feed: there is nothing to deliver any more
      redis.call('ZREM', due, id)
      redis.call('HDEL', KEYS[1], id)
    end
  end
  return count
end

for i = 0, #ARGV - FIRST_COUNT do
  local urgent, due = KEYS[FIRST_URGENT + 2 * i], KEYS[FIRST_URGENT + 2 * i + 1]
  lease(due, lease(urgent, math.min(ARGV[FIRST_COUNT + i], ARGV[3] - #leased)))
end
return leased

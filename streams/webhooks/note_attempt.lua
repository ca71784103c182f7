#!lua
--[[
  Note what became of one leased job.

  KEYS[1]  jobs        hash    job id -> {webhook_id, alert_id, entry, sequence, since_ms, failed, claim} in JSON
  KEYS[2]  due         sorted set of the job's webhook in which it lies, urgent or due: job id by the ms it is due
  KEYS[3]  deliveries  stream  the attempts made at the webhook, newest kept
  KEYS[4]  answered    hash    webhook id -> ms of its last success
  KEYS[5]  outbox      list    alerts that are not on the topic yet

  ARGV[1]  job         its id
  ARGV[2]  claim       the lease the attempt was made under
  ARGV[3]  next_ms     when to try again; "" for never: the job is done
  ARGV[4]  success_ms  when the receiver took it; "" if it did not
  ARGV[5]  delivery    the attempt in JSON, for the log
  ARGV[6]  keep        about how many attempts the log keeps
  ARGV[7]  alert       what is to be told of it, for the outbox; "" for nothing

  Returns {status}
    "noted"  done as told
    "lost"   the lease ran out and another sender has the job, or it is done: only the log was written; or the webhook was
             removed: nothing was
  Why a script: a sender that comes back late must not undo what another has noted since, and what is told of a job
  that is given up is neither lost nor invented by a crash in between.
]]
local text = redis.call('HGET', KEYS[1], ARGV[1])
local job = text and cjson.decode(text)
local entry = {'MAXLEN', '~', ARGV[6], '*', 'delivery', ARGV[5]}
if not job then table.insert(entry, 1, 'NOMKSTREAM') end -- of a webhook that was removed meanwhile no log begins anew
redis.call('XADD', KEYS[3], unpack(entry))
if not job or job.claim ~= tonumber(ARGV[2]) then return {'lost'} end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[4], job.webhook_id, ARGV[4]) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  job.failed = job.failed + 1
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(job))
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
end
if ARGV[7] ~= '' then redis.call('RPUSH', KEYS[5], ARGV[7]) end
return {'noted'}

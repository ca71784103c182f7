#!lua
--[[
  Change a subscription that is still as it was read.

  KEYS[1]  webhooks  hash  webhook id -> subscription in JSON

  ARGV[1]  id   of the webhook
  ARGV[2]  old  the subscription as it was read
  ARGV[3]  new  what it becomes

  Returns {status}
    "replaced"  done
    "changed"   it is another by now, or gone: nothing written
  Why a script: a worker copies what lies on the settings topic at any time, and that stands. Who changes a subscription
  is alone with it but for that (`Jobs.changing`).
]]
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'changed'} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return {'replaced'}

#!lua
--[[
  Copy one run of the topic quota.settings, exactly once and in order.

  KEYS[1]  meta      hash  checkpoint:<partition>, topic_id:<topic>
  KEYS[2]  webhooks  hash  webhook id -> subscription
  KEYS[3]  api_keys  hash  key id -> API key
  ARGV[1]  partition  "<topic>:<number>"
  ARGV[2]  prev       offset delivered before this run, -1 for none
  ARGV[3]  last       offset the checkpoint moves to
  ARGV[4]  rows       JSON [kind, name, value or null]: webhook, id, subscription; key, id, API key; gap, partition,
                      [first, last offset that is given up, id of the topic or ""]

  A gap moves the partition's checkpoint to its last offset if the next record to be applied lies in it, and the topic
  is the one that it was accepted on. Nothing else is given up by it: not what this Redis forgot and has to apply again.

  Returns {status, checkpoint}
    "kept"    all rows are copied
    "behind"  the run was settled before, wholly or in part: nothing written
    "fenced"  the checkpoint is below prev: nothing written, Redis has forgotten
]]
local copies = {webhook = KEYS[2], key = KEYS[3]}
local name = 'checkpoint:' .. ARGV[1]
local checkpoint = redis.call('HGET', KEYS[1], name) or '-1'
if tonumber(ARGV[2]) < tonumber(checkpoint) then return {'behind', checkpoint} end
if tonumber(checkpoint) < tonumber(ARGV[2]) then return {'fenced', checkpoint} end
local function accept_gap(partition, first, last, topic_id)
  local topic = string.match(partition, '^(.*):')
  local meta = redis.call('HMGET', KEYS[1], 'checkpoint:' .. partition, 'topic_id:' .. topic)
  local next = tonumber(meta[1] or '-1') + 1
  if first <= next and next <= last and (topic_id == '' or (meta[2] or topic_id) == topic_id) then
    redis.call('HSET', KEYS[1], 'checkpoint:' .. partition, string.format('%.0f', last))
  end
end

for i, row in ipairs(cjson.decode(ARGV[4])) do
  local kind, id, value = row[1], row[2], row[3]
  if kind == 'gap' then
    accept_gap(id, unpack(value))
  elseif value == cjson.null then
    redis.call('HDEL', copies[kind], id)
  else
    redis.call('HSET', copies[kind], id, value)
  end
end
redis.call('HSET', KEYS[1], name, ARGV[3])
return {'kept', ARGV[3]}

#!lua
--[[
  Post one run of one partition: all of it or nothing, exactly once.

  KEYS[1]  ids        hash    digest of an event key (16 bytes) -> content digest (8), kind (1), place (7)
  KEYS[2]  balances   hash    account|period -> "posted reserved held quiet_from quiet_below last_posted_at marks"
  KEYS[3]  journal    stream  one entry a posted run, <number>-0
  KEYS[4]  outbox     list    alerts that are not on the topic yet
  KEYS[5]  meta       hash    checkpoint:<partition>, end:<partition>, adoption, adopting, entries, posted_at

  ARGV[1]  partition   "<topic>:<number>"
  ARGV[2]  prev        offset delivered before this run, -1 for none
  ARGV[3]  last        offset the checkpoint moves to
  ARGV[4]  adoption    number of the newest adoption the worker knows of
  ARGV[5]  policy      SHA-256 of the policy the run was judged under
  ARGV[6]  posted_at   RFC 3339, the worker's clock
  ARGV[7]  ids         new events, 27 bytes each: key digest (16), content digest and kind (9), index in the entry (2)
  ARGV[8]  told        known ids the worker has dealt with, 32 bytes each: key digest (16), the value it was told (16)
  ARGV[9]  accounts    JSON rows [field, posted, reserved, held, lowest, highest, last_posted_at, expected, record]:
                       changes in TPP (held in lines), the lowest and highest use on the way relative to the start, the
                       latest posting, and, where the worker has seen the account, the record it expects ("" for none)
                       and the one to write
  ARGV[10] reserved    "1" if reserved amounts count as used, else "0"
  ARGV[11] chunks      how many of the following are chunks of the journal entry; the rest are alerts for the outbox
  ARGV[12] first chunk or alert, and so on; an alert is "<record's Kafka time in ms> <alert in JSON>"

  Returns {status, ...}
    "posted"    the checkpoint is at last; the journal entry's number follows, 0 if the run held nothing new
    "behind"    prev is below the checkpoint, which follows: nothing written, drop what is at or below it
    "fenced"    the checkpoint, which follows, is below prev: nothing written, this ledger has forgotten; stop
    "adopting"  the ledger is closed for the adoption that follows, in JSON: nothing written, wait
    "policy"    the newest adoption is the one that follows ("" if there is none): nothing written, judge again
    "known"     ids that are known with another value than told: nothing written; key, value, key, value follow
    "accounts"  accounts that would cross a level or are not as expected: nothing written; field, record ("" for
                none), ... follow
  Why a script: ids, balances, journal, alerts and checkpoint survive or vanish together.
]]
local partition, prev, last = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local meta = redis.call('HMGET', KEYS[5], 'checkpoint:' .. partition, 'adoption', 'adopting', 'entries')
if meta[3] then return {'adopting', meta[3]} end
if meta[2] ~= ARGV[4] then return {'policy', meta[2] or ''} end
local checkpoint = tonumber(meta[1] or '-1')
if prev < checkpoint then return {'behind', meta[1]} end
if checkpoint < prev then return {'fenced', meta[1] or '-1'} end

local ids, told = ARGV[7], ARGV[8]
local fresh, asked, said = {}, {}, {}
for at = 1, #ids, 27 do
  local key = string.sub(ids, at, at + 15)
  fresh[#fresh + 1], asked[#asked + 1] = key, key
end
for at = 1, #told, 32 do
  local key = string.sub(told, at, at + 15)
  asked[#asked + 1], said[key] = key, string.sub(told, at + 16, at + 31)
end
if #asked > 0 then
  local values, known = redis.call('HMGET', KEYS[1], unpack(asked)), {'known'}
  for i, key in ipairs(asked) do
    if (values[i] or nil) ~= said[key] then
      known[#known + 1], known[#known + 2] = key, values[i] or ''
    end
  end
  if #known > 1 then return known end
end

local rows, writes, moved, before = cjson.decode(ARGV[9]), {}, {'accounts'}, {}
for i, row in ipairs(rows) do
  local field, expected = row[1], row[8]
  local record = redis.call('HGET', KEYS[2], field) or ''
  local written
  if expected ~= cjson.null then
    if record == expected then written = row[9] end
  elseif record ~= '' then
    local posted, reserved, held, from, below, latest, marks =
      string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
    local used = tonumber(posted)
    if ARGV[10] == '1' then used = used + tonumber(reserved) end
    if used + row[5] >= tonumber(from) and used + row[6] < tonumber(below) then
      if row[7] ~= '' and (latest == '-' or latest < row[7]) then latest = row[7] end
      written = string.format('%.0f %.0f %.0f %s %s %s %s', posted + row[2], reserved + row[3], held + row[4],
        from, below, latest, marks)
    end
  end
  if written then
    writes[#writes + 1], writes[#writes + 2] = field, written
    before[#before + 1] = {field, string.match(record, '^%S+') or '0', string.match(record, '^%S+ (%S+)') or '0'}
  else
    moved[#moved + 1], moved[#moved + 2] = field, record
  end
end
if #moved > 1 then return moved end

local entry, chunks = 0, tonumber(ARGV[11])
if #fresh > 0 then
  entry = tonumber(meta[4] or '0') + 1
  local head, values = struct.pack('>I5', entry), {}
  for i, key in ipairs(fresh) do
    local at = (i - 1) * 27
    values[#values + 1] = key
    values[#values + 1] = string.sub(ids, at + 17, at + 25) .. head .. string.sub(ids, at + 26, at + 27)
  end
  redis.call('HSET', KEYS[1], unpack(values))
  local fields = {'partition', partition, 'last', last, 'policy', ARGV[5], 'posted_at', ARGV[6],
    'before', #before > 0 and cjson.encode(before) or '[]'}
  for i = 1, chunks do
    fields[#fields + 1], fields[#fields + 2] = 'chunk' .. i, ARGV[11 + i]
  end
  if #ARGV > 11 + chunks then
    fields[#fields + 1], fields[#fields + 2] = 'alerts', table.concat(ARGV, '\n', 12 + chunks)
  end
  redis.call('XADD', KEYS[3], entry .. '-0', unpack(fields))
end
if #writes > 0 then redis.call('HSET', KEYS[2], unpack(writes)) end
for i = 12 + chunks, #ARGV do redis.call('RPUSH', KEYS[4], ARGV[i]) end
redis.call('HSET', KEYS[5], 'checkpoint:' .. partition, last, 'posted_at', ARGV[6])
if entry > 0 then redis.call('HSET', KEYS[5], 'entries', entry) end
return {'posted', entry}

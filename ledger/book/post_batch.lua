#!lua
--[[
  Post one run of one partition: all of it or nothing, exactly once.

  KEYS[1]  ids        hash    digest of an event key (12 bytes) -> content digest (7), place (7)
  KEYS[2]  balances   hash    account|period -> "posted reserved held quiet_from quiet_below last_posted_at marks"
  KEYS[3]  journal    stream  one entry a posted run, <number>-0
  KEYS[4]  outbox     list    alerts that are not on the topic yet
  KEYS[5]  meta       hash    checkpoint:<partition>, end:<partition>, adoption, adopting, entries, posted_at, today
  KEYS[6]  families   hash    digest of an original's key -> version (7), family
  KEYS[7]  expiries   zset    digest of a reservation's key in hex, by the millisecond at which it expires
  KEYS[8]  waits      hash    digest of an event's key in hex -> what it waits for
  KEYS[9]  bookings   list    the first account's: an element an entry, its number (5) and the account's bookings in it;
                              KEYS[10] the second's, and so on, in the order of the accounts

  ARGV[1]  partition   "<topic>:<number>", or "tick": its offsets are minutes
  ARGV[2]  prev        offset delivered before this run, -1 for none
  ARGV[3]  last        offset the checkpoint moves to
  ARGV[4]  adoption    number of the newest adoption the worker knows of
  ARGV[5]  policy      SHA-256 of the policy the run was judged under
  ARGV[6]  posted_at   RFC 3339, the worker's clock
  ARGV[7]  ids         new events, 21 bytes each: key digest (12), content digest (7), index in the entry (2)
  ARGV[8]  told        ids the worker has dealt with, 26 bytes each: key digest (12), the value it was told (14), UNKNOWN
                       if it was told that there is none; one that is awaited may come among ids too
  ARGV[9]  accounts    JSON rows [field, posted, reserved, held, lowest, highest, last_posted_at, expected, record,
                       today]: changes in TPP (held in lines), the lowest and highest use on the way relative to the
                       start, the latest posting, and, where the worker has seen the account, the record it expects (""
                       for none), the one to write, and the ledger's day by whose caps it was measured
  ARGV[10] reserved    "1" if reserved amounts count as used, else "0"
  ARGV[11] chunks      how many chunks of the journal entry follow
  ARGV[12] families    how many families follow
  ARGV[13] waits       "" or JSON {due: {key in hex: millisecond or null}, waits: {key in hex: text or null},
                       awaited: [number of the family]}
  ARGV[14] first chunk, and so on; then of each family the digest of its original's key, the version that the worker was
           told (7 zeros for none) and the record to write; then of each account its bookings, "" if it has none; then
           alerts, each "<record's Kafka time in ms> <alert in JSON>"

  Returns {status, ...}
    "posted"    the checkpoint is at last; the journal entry's number follows, 0 if the run held nothing new
    "behind"    prev is below the checkpoint, which follows: nothing written, drop what is at or below it
    "fenced"    the checkpoint, which follows, is below prev: nothing written, this ledger has forgotten; stop
    "adopting"  the ledger is closed for the adoption that follows, in JSON: nothing written, wait
    "policy"    the newest adoption is the one that follows ("" if there is none): nothing written, judge again
    "known"     ids that are known with another value than told, or are called new and are not: nothing written; key,
                value, key, value follow
    "families"  families that are not of the version told: nothing written; digest of the original's key, ... follow
    "accounts"  accounts that would cross a level, or are not as expected or not measured by the ledger's day: nothing
                written; that day ("" before the first), field, record ("" for none), ... follow
  Why a script: ids, balances, journal, alerts and checkpoint survive or vanish together.
]]
local partition, prev, last = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local meta = redis.call('HMGET', KEYS[5], 'checkpoint:' .. partition, 'adoption', 'adopting', 'entries',
  'today')
if meta[3] then return {'adopting', meta[3]} end
if meta[2] ~= ARGV[4] then return {'policy', meta[2] or ''} end
local checkpoint = tonumber(meta[1] or '-1')
if prev < checkpoint then return {'behind', meta[1]} end
if checkpoint < prev then return {'fenced', meta[1] or '-1'} end

local UNKNOWN, AWAITED, NO_VERSION = string.rep('\255', 14), string.rep('\0', 14), string.rep('\0', 7)
local ids, told = ARGV[7], ARGV[8]
local fresh, asked, said = {}, {}, {}
for at = 1, #ids, 21 do
  local key = string.sub(ids, at, at + 11)
  fresh[#fresh + 1], asked[#asked + 1] = key, key
end
for at = 1, #told, 26 do
  local key, value = string.sub(told, at, at + 11), string.sub(told, at + 12, at + 25)
  asked[#asked + 1] = key
  if value ~= UNKNOWN then said[key] = value end
end
if #asked > 0 then
  local values, known = redis.call('HMGET', KEYS[1], unpack(asked)), {'known'}
  for i, key in ipairs(asked) do
    local value = values[i] or nil
    if value ~= said[key] or (i <= #fresh and value and value ~= AWAITED) then
      known[#known + 1], known[#known + 2] = key, value or ''
    end
  end
  if #known > 1 then return known end
end

local chunks, families, changed = tonumber(ARGV[11]), {}, {'families'}
local bookings = 14 + chunks + 3 * tonumber(ARGV[12])
for at = 14 + chunks, bookings - 1, 3 do
  local key, version, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local kept = redis.call('HGET', KEYS[6], key) or NO_VERSION
  if string.sub(kept, 1, 7) ~= version then changed[#changed + 1] = key end
  families[#families + 1], families[#families + 2] = key, record
end
if #changed > 1 then return changed end

local today = meta[5] or ''
local rows, writes, moved, before = cjson.decode(ARGV[9]), {}, {'accounts', today}, {}
for i, row in ipairs(rows) do
  local field, expected = row[1], row[8]
  local record = redis.call('HGET', KEYS[2], field) or ''
  local written
  if expected ~= cjson.null then
    if record == expected and row[10] == today then written = row[9] end
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
if #moved > 2 then return moved end

local entry, after = 0, bookings + #rows
if chunks > 0 then
  entry = tonumber(meta[4] or '0') + 1
  local head, values = struct.pack('>I5', entry), {}
  for i, key in ipairs(fresh) do
    local at = (i - 1) * 21
    values[#values + 1] = key
    values[#values + 1] = string.sub(ids, at + 13, at + 19) .. head .. string.sub(ids, at + 20, at + 21)
  end
  if #values > 0 then redis.call('HSET', KEYS[1], unpack(values)) end
  local fields = {'partition', partition, 'last', last, 'policy', ARGV[5], 'posted_at', ARGV[6],
    'before', #before > 0 and cjson.encode(before) or '[]'}
  for i = 1, chunks do
    fields[#fields + 1], fields[#fields + 2] = 'chunk' .. i, ARGV[13 + i]
  end
  if #ARGV >= after then
    fields[#fields + 1], fields[#fields + 2] = 'alerts', table.concat(ARGV, '\n', after)
  end
  redis.call('XADD', KEYS[3], entry .. '-0', unpack(fields))
  for i = 1, #rows do
    local booked = ARGV[bookings + i - 1]
    if booked ~= '' then redis.call('RPUSH', KEYS[8 + i], head .. booked) end
  end
end
if #writes > 0 then redis.call('HSET', KEYS[2], unpack(writes)) end
if #families > 0 then redis.call('HSET', KEYS[6], unpack(families)) end
if ARGV[13] ~= '' then
  local told = cjson.decode(ARGV[13])
  for key, at in pairs(told.due) do
    if at == cjson.null then redis.call('ZREM', KEYS[7], key) else redis.call('ZADD', KEYS[7], at, key) end
  end
  for key, text in pairs(told.waits) do
    if text == cjson.null then redis.call('HDEL', KEYS[8], key) else redis.call('HSET', KEYS[8], key, text) end
  end
  for _, number in ipairs(told.awaited) do redis.call('HSET', KEYS[1], families[2 * number + 1], AWAITED) end
end
for i = after, #ARGV do redis.call('RPUSH', KEYS[4], ARGV[i]) end
redis.call('HSET', KEYS[5], 'checkpoint:' .. partition, last)
if entry > 0 or partition ~= 'tick' then redis.call('HSET', KEYS[5], 'posted_at', ARGV[6]) end
if entry > 0 then redis.call('HSET', KEYS[5], 'entries', entry) end
return {'posted', entry}

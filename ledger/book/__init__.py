"""The only room of the ledger that talks to Redis.

keys             the names
account          an account's record: balance, marks, and the range in which it may move unseen
journal          an entry's packed events
post_batch.lua   the one call that posts a run
post             a run of judged records -> posted exactly once
setting          a record of quota.settings, and those by which policies are adopted
gap              those by which records that were deleted unapplied are given up
kept_settings    what such a record does: the copy in Redis, and the adoption that closes and opens the ledger
remeasure        accounts under the limits of a policy that is adopted
adopted          which policies were
bookings         where an account's bookings lie, and from when on they count
entries          an account's entries, and its balance at a moment of the past
place            an event, and its booking, in the journal
family, families those that are kept together, and what a posting makes of them
decide           what became of an event, or would
audit            everything that is kept, as of one moment, for whoever compares it with the topics
read             balances, decisions and freshness for everybody else
"""

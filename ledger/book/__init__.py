"""The only room of the ledger that talks to Redis.

keys             the names
account          an account's record: balance, marks, and the range in which it may move unseen
journal          an entry's packed events
post_batch.lua   the one call that posts a run
post             a run of judged records -> posted exactly once
read             balances, decisions and freshness for everybody else
"""

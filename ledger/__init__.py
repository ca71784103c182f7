"""What is true about quotas. No Kafka, no Faust, no HTTP.

errors, periods, countries, chips, policy   the words of the trade
policy_sheet, policy_diff   what a policy says entry by entry, and where two differ
digests   what an event is remembered by
data/     what the rules say, dated and with sources
rules/    pure: an event and a policy -> what it deserves
book/     the only room that talks to Redis: one script call posts a run
replay/   pure folds over events
"""

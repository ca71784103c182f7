"""The command line `quota-ledger`. Each file is one group of commands.

main         joins them; one line for what went wrong, and the exit code it means
ledger_here  which ledger a command speaks to
up           everything at once
processes    worker, sender, api
send         files of events -> the topic
sample       events to try it out with
status, alerts, explain      what the ledger says
resolve, adjust              what a person says and books (acts carries it out)
topics       the topics on Kafka
keys         who may call the endpoint
policy       the policies: which there are, what they say, where they differ
simulate     what if another policy ruled
policy_here  which policy a command goes by
verify       whether Redis holds what follows from the topics
rejected     what could not be applied, and its way back in
accept_gap   what to do when the log deleted too much
tables, policy_tables, simulation_tables, reject_tables, verification_tables     how answers look on a terminal
"""

"""How things move: Kafka, Faust, HTTP, processes. Decides nothing about quotas.

worker -> debit_shipments -> relay_outbox -> deliver_alerts is an event's way; the folders are its edges.
acts says what a person does as events, adopt_policy puts a policy in force.
"""

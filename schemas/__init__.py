"""The words on the wire: what a producer writes, what the ledger answers, what a receiver is sent.

shipment_event   an event's fields and their types
cloudevents      a Kafka record or an HTTP body -> a shipment event, or the reason why not
rejected_record  those reasons
decision         what the ledger makes of one event
adoption         since when a policy rules
quota_alert      what is told when a limit comes near or a rule is touched
quota_status     how much of a country's quota is used
meter_status     how much of a meter beside the countries' quotas is used
policy           what is shown of policies, and where two differ
simulation       two policies over the same events
unsettled        events that wait for another, lines that wait for a person
webhook          a subscription, as it is asked for and as it is shown
checkup          what the doctor found
problem          an error over HTTP
examples         calls, and what a ledger answered to them
asyncapi         the topics as one AsyncAPI document
published/       the same as JSON Schema documents, and the AsyncAPI one, printed by `python -m schemas.publish`,
                 and the calls as OpenAPI, printed by `python -m streams.api.publish`
"""

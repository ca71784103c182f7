"""Alerts to receivers over HTTP, by Standard Webhooks 1.0.0.

subscription     which alerts go where, with encrypted secrets; a record on the settings topic
resolver         what a name means, without waiting for another's
connect_guard    which addresses may be reached at all
jobs             what is to be delivered, in Redis: written by the worker, claimed and noted by senders
sender           the process that posts
formats          the body: by the standard, for Slack, for PagerDuty
signing          the signature, and how a receiver verifies it
schedule         when a failed delivery is tried again
desk             what people do with subscriptions: make, change, rotate, test, send again
feed             the alerts in order, for the API
"""

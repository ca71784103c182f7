"""Alerts to receivers over HTTP, by Standard Webhooks 1.0.0.

subscription     which alerts go where, with encrypted secrets; a record on the settings topic
connect_guard    which addresses may be reached at all
jobs             what is to be delivered, in Redis: written by the worker, claimed and noted by senders
sender           the process that posts
signing          the signature, and how a receiver verifies it
schedule         when a failed delivery is tried again
feed             the alerts in order, for the API
"""

"""The HTTP endpoint. Reads balances from Redis, puts shipments onto Kafka; books nothing itself.

app          joins the routes
parts        what the routes work with
answers      what is asked about quotas -> the answer; the command line gives the same
admission    who may call, and how large a body may be
keys         what an API key is and what its scopes open
throttle     how often a key may call
key_ring     the keys as Redis holds them
problems     every error as problem+json
openapi      the OpenAPI document, with real answers for examples
freshness    ETag, 304 and how fresh an answer is
session      the key of a person who looks at the page, kept in a cookie
page/        the page itself: HTML, style, script and map, served as they are
quotas, alerts, decisions, shipments, webhooks, policy, health, pages      the routes
"""

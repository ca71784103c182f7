"""(d) Faust as its guide begins: an agent, a message at a time, one awaited Redis call an event.

Decode, assessment and the check of the id are quota-ledger's own. It keeps no journal, no alerts, no checkpoint and no
levels, and what a crash between Redis and the commit repeats is caught by the id alone: it does less than (c).
"""

import faust
from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.digests import digest_of_content, digest_of_key
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from tests.benchmarks.job import Job, Meter
from tests.benchmarks.traffic import POLICY

BOOK = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return known == ARGV[2] and 'duplicate' or 'conflict' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 'posted'
"""
"""KEYS ids, balances; ARGV key digest, content digest, then account|period and TPP of each charge."""


def run(job: Job, meter: Meter) -> None:
    policy, keys, source = load_policy(POLICY), Keys(job.ledger), f"/kafka/{job.topic}"
    redis = Redis.from_url(job.redis_url)
    book = redis.register_script(BOOK)
    app = faust.App(
        job.ledger,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
    )

    @app.agent(app.topic(job.topic))
    async def debit(values):
        async for value in values:
            event = read_event(value, default_source=source)
            assessment = assess(event, policy)
            arguments = [digest_of_key(event.source, event.id), digest_of_content(value)]
            for charge in assessment.charges:
                arguments += (f"{charge.account}|{charge.period}", charge.tpp)
            answer = await book(keys=[keys.ids, keys.balances], args=arguments)
            assert answer == b"posted", answer
            meter.add(1)

    worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True)
    worker.spinner = None  # writes to the terminal even when quiet
    worker.execute_from_commandline()

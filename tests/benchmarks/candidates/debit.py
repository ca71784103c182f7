"""What a row that is not quota-ledger does with an event: read it, assess it, and one script call that books it.

Reading, assessing and the digests are quota-ledger's own, and so are the names of the keys. There is no journal, no
alerts, no levels and no checkpoint: what a crash between Redis and the commit repeats is caught by the id alone.
"""

from collections.abc import Iterable
from typing import Any

from redis import Redis

from ledger.book.keys import Keys
from ledger.digests import digest_of_content, digest_of_key
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from schemas.shipment_event import ShipmentEvent
from tests.benchmarks.job import Job, give_up
from tests.benchmarks.traffic import POLICY

BOOK = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return known == ARGV[2] and 'duplicate' or 'conflict' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 'posted'
"""
"""KEYS ids, balances; ARGV key digest, content digest, then account|period and TPP of each charge."""

BATCH_MAX = 1000
"""Events in a batch of the rows that take several at once: as many as in a run of quota-ledger."""


class Debit:
    """Debits the events of one job. A client of Redis, or a pipeline, may be synchronous or asynchronous."""

    def __init__(self, job: Job) -> None:
        self._policy, keys = load_policy(POLICY), Keys(job.ledger)
        self._keys, self._source = (keys.ids, keys.balances), f"/kafka/{job.topic}"
        with Redis.from_url(job.redis_url) as redis:
            self._script = redis.script_load(BOOK)

    def read(self, value: bytes) -> ShipmentEvent:
        """Read one event."""
        return read_event(value, default_source=self._source)

    def book(self, client: Any, event: ShipmentEvent, value: bytes) -> Any:
        """Assess an event that was read from these bytes, and call the script with what it charges."""
        arguments: list[Any] = [digest_of_key(event.source, event.id), digest_of_content(value)]
        for charge in assess(event, self._policy).charges:
            arguments += (f"{charge.account}|{charge.period}", charge.tpp)
        return client.evalsha(self._script, len(self._keys), *self._keys, *arguments)

    def book_all(self, client: Any, events: Iterable[tuple[ShipmentEvent, bytes]]) -> Any:
        """One pipeline with a call for each event, executed."""
        pipeline = client.pipeline(transaction=False)
        for event, value in events:
            self.book(pipeline, event, value)
        return pipeline.execute()


def check(answers: Iterable[Any]) -> None:
    """Every event must have been new."""
    if wrong := [answer for answer in answers if answer != b"posted"]:
        give_up(f"the script answered {wrong[0]!r}")

"""What producers write under random faults: related events, repeated, contradicted, spelt otherwise, reordered, or bad.

Every event has a partition for all its records, or none of them contradicts another: only then is it said which stands.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from zlib import crc32

from kafka import KafkaProducer
from kafka.errors import KafkaError

from ledger.errors import LedgerError
from streams.kafka.producer import close_producer, make_producer
from streams.settings import Settings
from tests.bad_bodies import bad_bodies
from tests.builders import shipment_document
from tests.histories import COUNTRIES, history

PAUSE_S = 0.15
BATCHES_MAX = 2_000
"""About so many are written in the longest run: an emptied Redis is filled again from all of them, and tells all their
alerts again."""

BAD = [body for body in bad_bodies() if not body.headers and len(body.value) < 5_000]
BAD_REASON = {body.value: body.reason for body in BAD}
"""What is rejected for itself: a body of the corpus, and why."""

NOT_CONTENT = "unknown_to_us"


class Producers(threading.Thread):
    """Writes until it is told to stop, whether or not the broker is there. What it wrote is read off the topic.

    Args:
        settings: which topic, where.
        seed: decides what is written.
        partitions: of the topic.
        expiries: whether reservations may expire.
    """

    def __init__(self, settings: Settings, seed: int, partitions: int, *, expiries: bool) -> None:
        super().__init__(daemon=True)
        self._settings, self._random, self._partitions = settings, Random(seed), partitions
        self._expiries = expiries
        self._pause_s = PAUSE_S
        self._stopped = threading.Event()
        self._before: list[dict] = []

    def spread_over(self, duration_s: float) -> None:
        """Write no faster than the run bears that lasts so long."""
        self._pause_s = max(PAUSE_S, duration_s / BATCHES_MAX)

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stopped.set()
        self.join(60)

    def run(self) -> None:
        """As a thread."""
        batch, records = 0, []
        while not self._stopped.is_set():
            with suppress(KafkaError, LedgerError), self._producer() as producer:
                while not self._stopped.wait(self._pause_s):
                    if not records:
                        batch += 1
                        records = [*self._records(batch)]
                    sent = [producer.send(self._settings.topic_shipments, **record) for record in records]
                    for one in sent:
                        one.get(10)
                    records = []  # else they are sent again: the broker did not say that it has them all

    @contextmanager
    def _producer(self) -> Iterator[KafkaProducer]:
        producer = make_producer(self._settings)
        try:
            yield producer
        finally:
            close_producer(producer)

    def _records(self, batch: int) -> Iterator[dict]:
        random = self._random
        events = [self._named(event, batch) for event in history(random, random.randint(1, 12))]
        for number in range(random.choice((1, 5, 5, 5, 150))):
            quantity = 1500 if random.random() < 0.01 else random.randint(1, 3)
            events.append(
                shipment_document(id=f"{batch}-plain-{number}", destination=random.choice(COUNTRIES), quantity=quantity)
            )
        self._before = [*self._before, *random.sample(events, min(5, len(events)))][-200:]
        events += random.choices(self._before, k=random.randint(0, 8))
        random.shuffle(events)
        for event in events:
            yield self._record(event)
            while random.random() < 0.15:
                yield self._record(event)
            if self._is_sticky(event) and random.random() < 0.1 and "lines" in event["data"]:
                other = event["data"] | {"shipment_id": f"another {random.randrange(3)}"}
                yield self._record(event | {"data": other})
        for _ in range(random.randint(0, 3)):
            yield {"value": random.choice(BAD).value, "partition": random.randrange(self._partitions)}

    def _named(self, event: dict, batch: int) -> dict:
        """The event in a history of its own."""
        data = dict(event["data"])
        if "original_id" in data:
            data["original_id"] = f"{batch}-{data['original_id']}"
        if not self._expiries:
            data.pop("expires_at", None)
        return event | {"id": f"{batch}-{event['id']}", "data": data}

    def _is_sticky(self, event: dict) -> bool:
        return crc32(event["id"].encode()) % 2 == 0

    def _record(self, event: dict) -> dict:
        random = self._random
        partition = random.randrange(self._partitions)
        if self._is_sticky(event):
            partition = crc32(event["id"].encode()) % self._partitions
        spelling = random.randrange(3)
        if spelling == 1:
            event = dict(reversed(event.items()))
        elif spelling == 2:
            event = event | {"data": event["data"] | {NOT_CONTENT: 1}}
        return {"value": json.dumps(event).encode(), "partition": partition}

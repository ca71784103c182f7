"""A ledger on real parts, as its users see it: what is on the topics and what the balances are."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from ledger.book.keys import Keys
from ledger.book.read import Reader
from ledger.book.script import connect
from ledger.rules.adoptions import Rulebook
from schemas.decision import Decision
from schemas.quota_status import Freshness
from streams.kafka.producer import close_producer, make_producer, send_all
from streams.settings import Settings
from tests.parts import wait_until

H100 = 15_832


def shipment(event_id: str, *, quantity: int = 1, country: str = "IN", model: str = "H100 SXM") -> dict[str, Any]:
    """A bare event as a producer writes it."""
    lines = [{"vendor": "NVIDIA", "model": model, "quantity": quantity}]
    return {"id": event_id, "shipped_at": "2026-03-01T00:00:00Z", "destination": country, "lines": lines}


class LiveDesk:
    """Looks at one ledger from outside."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = Redis.from_url(settings.redis_url.get_secret_value())
        self.keys = Keys(settings.ledger)
        self.producer = make_producer(settings)

    def close(self) -> None:
        close_producer(self.producer)
        self.redis.close()

    def produce(self, said: Iterable[dict[str, Any] | bytes | None], headers: Any = ()) -> None:
        values = [json.dumps(one).encode() if isinstance(one, dict) else one for one in said]
        keys = [one["id"].encode() if isinstance(one, dict) else b"key" if one is None else None for one in said]
        records = [(key, value, list(headers)) for key, value in zip(keys, values, strict=True)]
        send_all(self.producer, self.settings.topic_shipments, records)

    def posted(self) -> dict[str, int]:
        """Country -> TPP booked in 2026."""
        found = {}
        for name, record in self.redis.hgetall(self.keys.balances).items():
            account, _, period = name.decode().partition("|")
            if period == "2026":
                found[account.removeprefix("country:")] = int(record.split(b" ", 1)[0])
        return found

    def settled(self) -> int:
        """How many records of the shipments topic lie at or below a checkpoint."""
        meta = self.redis.hgetall(self.keys.meta)
        prefix = f"checkpoint:{self.settings.topic_shipments}:".encode()
        return sum(int(offset) + 1 for name, offset in meta.items() if name.startswith(prefix))

    def wait_settled(self, count: int, timeout_s: float = 60.0) -> None:
        wait_until(lambda: self.settled() >= count, f"{count} records to be settled", timeout_s)

    def records(self, topic: str) -> list[Any]:
        """Everything on a topic of one partition."""
        place = TopicPartition(topic, 0)
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap.split(","),
            api_version=self.settings.api_version,
            group_id=None,
            enable_auto_commit=False,
        )
        try:
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end, found = consumer.end_offsets([place])[place], []
            while consumer.position(place) < end:
                found += consumer.poll(timeout_ms=500).get(place, [])
            return found
        finally:
            consumer.close(autocommit=False)

    def rejects(self) -> list[Any]:
        return self.records(self.settings.topic_rejected)

    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in self.records(self.settings.topic_alerts)]

    def decision(self, source: str, event_id: str) -> Decision | None:
        return self._ask(lambda reader: reader.decision(source, event_id))

    def rules(self) -> Rulebook:
        found: Rulebook = self._ask(lambda reader: reader.rules())
        return found

    def freshness(self) -> Freshness:
        return self._ask(lambda reader: reader.freshness())

    def _ask(self, question: Callable[[Reader], Awaitable[Any]]) -> Any:
        async def ask() -> Any:
            redis = connect(self.settings.redis_url.get_secret_value())
            try:
                return await question(Reader(redis, self.settings.ledger, now=lambda: datetime.now(UTC)))
            finally:
                await redis.aclose()

        return asyncio.run(ask())

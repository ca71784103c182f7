"""What the routes work with, handed in from outside so that tests may hand in other things. Makes nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from ledger.book.read import Reader
from streams.api.copies import Copies
from streams.api.freshness import Tagged
from streams.api.key_ring import KeyRing
from streams.api.throttle import Throttle
from streams.kafka.producer import Outgoing
from streams.settings import Settings
from streams.webhooks.connect_guard import ConnectGuard
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs
from streams.webhooks.subscription import SecretBox


class Producer(Protocol):
    """Writes records to Kafka and returns when all are acknowledged."""

    def send_all(self, topic: str, records: Iterable[Outgoing]) -> int:
        """Write records to a topic; raises LedgerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one endpoint.

    Attributes:
        guard: which addresses a webhook may have.
        secret_box: keeps webhook secrets; None while no key is set for it.
        clock: the time, which says what "current" means.
        copies: of answers that many ask for.
        throttle: how often a key may call.
    """

    settings: Settings
    reader: Reader
    feed: Feed
    jobs: Jobs
    keys: KeyRing
    producer: Producer
    guard: ConnectGuard
    secret_box: SecretBox | None
    clock: Callable[[], datetime]
    copies: Copies[Tagged]
    throttle: Throttle


async def _parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsHere = Annotated[Parts, Depends(_parts_of)]
"""The parts, as a route asks for them."""

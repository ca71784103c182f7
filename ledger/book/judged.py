"""A record as posting needs it: what it charges and by what it is known, or why it is to be parked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from ledger.book.bookings import seconds_of
from ledger.digests import digest_of_content, digest_of_key
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.follower import FOLLOWERS, EventKey, Following, family_of
from schemas.cloudevents import read_event
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent

_LAST_MS = 253_000_000_000_000
"""A moment in the year 9987."""


@dataclass(frozen=True, slots=True)
class Ties:
    """What ties an event to others. Most have none.

    Attributes:
        original: the key of the event whose family it belongs to, and the digest of that key: the one that it names;
            of a reservation, its own.
        follows: whether it is nothing without that event: what it charges is settled with its family.
    """

    original: tuple[EventKey, bytes] | None
    follows: bool


class Judged(Struct, eq=False):
    """What posting needs of a record that became an event.

    The event itself is let go, and read again where it is looked at closely: a thousand decoded events kept alive cost
    more than the few that are read twice.

    Attributes:
        timestamp_ms: the record's Kafka time.
        headers: those that belong to the event: of binary mode, or a bare event's `source`.
        source: the event's source.
        occurred_s: when what it tells of happened, in seconds since 1970: as it says, else its Kafka time.
        charges: what it charges by itself.
        held: how many of its lines wait for a person.
        noticed: whether the event alone gives rise to alerts.
        key_digest: what the ledger remembers its key by.
        content_digest: what tells its bytes from others.
        ties: None of a plain shipment.
    """

    offset: int
    timestamp_ms: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    source: str
    occurred_s: int
    charges: Sequence[ChargeDue]
    held: int
    noticed: bool
    key_digest: bytes
    content_digest: bytes
    ties: Ties | None

    @classmethod
    def of(
        cls,
        offset: int,
        timestamp_ms: int,
        value: bytes,
        headers: tuple[tuple[str, bytes], ...],
        *,
        event: ShipmentEvent,
        judged: Assessment | Following,
    ) -> "Judged":
        """What is kept of a record, of its event and of what was judged of it."""
        moment = event.data.get("shipped_at") or event.time
        ties = None if event.type == "shipment.shipped" and "original_id" not in event.data else _ties_of(event)
        charges: Sequence[ChargeDue] = ()
        held, noticed = 0, False
        if isinstance(judged, Assessment):
            noticed = bool(judged.notices)
            if ties is None or not ties.follows:
                charges, held = judged.charges, len(judged.held)
        return cls(
            offset,
            timestamp_ms,
            value,
            headers,
            event.source,
            timestamp_ms // 1000 if moment is None else seconds_of(moment),
            charges,
            held,
            noticed,
            digest_of_key(event.source, event.id),
            digest_of_content(value, headers),
            ties,
        )

    def event(self) -> ShipmentEvent:
        """The event, read once more."""
        return read_event(self.value, self.headers, default_source=self.source)


@dataclass(slots=True)
class Unfit:
    """A record that is to be parked."""

    offset: int
    timestamp_ms: int
    rejected: RejectedRecord


@lru_cache(maxsize=4096)
def kafka_time(timestamp_ms: int) -> datetime:
    """A record's Kafka time, which its producer may have made up: kept within what a calendar knows."""
    return datetime.fromtimestamp(min(max(timestamp_ms, 0), _LAST_MS) / 1000, UTC)


def _ties_of(event: ShipmentEvent) -> Ties:
    original = family_of(event)
    return Ties(
        original=None if original is None else (original, digest_of_key(*original)),
        follows=event.type in FOLLOWERS,
    )

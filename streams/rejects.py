"""What lies on the topic of rejects, read back: the original as it came, why it was parked, and its way back in.

Parking is `debit_shipments.py`'s, and the two fit together: the headers that it added are told apart from the
original's own by their place. Nothing is marked on the topic: that a record was replayed shows where it came in again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.book.judged import kafka_time
from ledger.digests import digest_of_content
from schemas.cloudevents import read_event
from schemas.shipment_event import ShipmentEvent
from streams.debit_shipments import source_of_topic
from streams.kafka.producer import Outgoing
from streams.kafka.read_log import Log
from streams.kafka.run import Record
from streams.settings import Settings

REPLAY_OF = "quota-replay-of"
"""The header by which a replayed record names the reject that it was."""

_OURS = "quota-"
_FIRST_OF_OURS = "quota-reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One rejected record.

    Attributes:
        place: `topic/partition/offset` of the original, by which a reject is named.
        event_key: `source#id`, where it could be read.
        parked_at: when it was.
        key, value, headers: the original's.
        cut: whether it was too large to be parked whole.
    """

    place: str
    reason: str
    detail: str
    event_key: str | None
    parked_at: datetime
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    cut: bool

    @property
    def replay_of(self) -> str | None:
        """The reject that the original was a replay of."""
        links = [value for name, value in self.headers if name == REPLAY_OF]
        return links[-1].decode("utf-8", "replace") if links else None

    @property
    def whole(self) -> bool:
        """Whether the original lies here as it came: not if it was cut, or could not be taken apart at all."""
        return not self.cut and (bool(self.value) or self.reason == "tombstone")

    def event(self, topic: str, recorded_at: datetime | None = None) -> ShipmentEvent:
        """The event that the original is on that topic.

        Args:
            topic: the topic of shipments.
            recorded_at: when it comes onto the topic; None to leave that out of the judgement.

        Raises:
            RejectedRecord: it is none.
        """
        source = source_of_topic(topic)
        return read_event(self.value, self.headers, default_source=source, recorded_at=recorded_at)

    def outgoing(self) -> Outgoing:
        """The record that goes onto the topic again: the original's bytes, and the link to this."""
        theirs = [header for header in self.headers if not header[0].startswith(_OURS)]
        return self.key, self.value, [*theirs, (REPLAY_OF, self.place.encode())]


class Replays:
    """What became of replays that were rejected again.

    A producer may write the header of a replay as well: it is believed where the reject that it names says the same.

    Attributes:
        became: by the place of a reject, that of the one which its last replay became.
    """

    def __init__(self) -> None:
        self.became: dict[str, str] = {}
        self._said: dict[str, bytes] = {}

    def note(self, reject: Reject) -> None:
        """Take note of the next reject, in the order of `read_rejects`."""
        said = self._said[reject.place] = digest_of_content(reject.value or b"")
        if reject.replay_of is not None and self._said.get(reject.replay_of) == said:
            self.became[reject.replay_of] = reject.place


def read_rejects(settings: Settings) -> Iterator[Reject]:
    """Every reject of this ledger's shipments, oldest first, each place once though it may have been parked twice.

    Memory grows with their number, about 100 bytes each, not with their size.

    Raises:
        LedgerUnavailable: Kafka does not answer.
    """
    seen: set[str] = set()
    with Log(settings, settings.topic_rejected) as log:
        for record in log:
            reject = read_reject(record)
            if reject is None or reject.place in seen or reject.place.rsplit("/", 2)[0] != settings.topic_shipments:
                continue
            seen.add(reject.place)
            yield reject


def read_reject(record: Record) -> Reject | None:
    """Read one record of the topic of rejects; None if it is none of ours."""
    names = [name for name, _ in record.headers]
    if _FIRST_OF_OURS not in names:
        return None
    first = len(names) - 1 - names[::-1].index(_FIRST_OF_OURS)
    told = {name: (text or b"").decode("utf-8", "replace") for name, text in record.headers[first:]}
    try:
        place = f"{told['quota-topic']}/{int(told['quota-partition'])}/{int(told['quota-offset'])}"
    except (KeyError, ValueError):
        return None
    return Reject(
        place=place,
        reason=told[_FIRST_OF_OURS],
        detail=told.get("quota-detail", ""),
        event_key=told.get("quota-event-key"),
        parked_at=kafka_time(record.timestamp),
        key=record.key,
        value=record.value,
        headers=[(name, text or b"") for name, text in record.headers[:first]],
        cut="quota-cut" in told,
    )

"""What a reader makes of a file: events ready for the topic, and lines that cannot be events."""

from dataclasses import dataclass

from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.kafka.producer import Outgoing


@dataclass(slots=True)
class GoodRecord:
    """An event that reads well.

    Attributes:
        line: where it begins, from 1.
        event: the event as it was read.
        value: the bytes that go onto the topic.
    """

    line: int
    event: ShipmentEvent
    value: bytes

    def outgoing(self) -> Outgoing:
        """The record as it is written to the topic."""
        return outgoing(self.event, self.value)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that cannot be an event, and every reason why.

    Attributes:
        line: where it begins, from 1.
    """

    line: int
    rejected: RejectedRecord


def outgoing(event: ShipmentEvent, value: bytes) -> Outgoing:
    """An event's record: one shipment's events share a key, so that one partition keeps them in order.

    The header `source` names a bare event's source; a CloudEvent states its own.
    """
    key = event.data.get("shipment_id") or event.id
    return key.encode(), value, [("source", event.source.encode())]


def file_source(name: str) -> str:
    """The source of a file's events that state none."""
    return f"/file/{name}"

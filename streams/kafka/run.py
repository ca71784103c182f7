"""A run: consecutive records of one partition, fetched together and settled together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Record(Protocol):
    """What is used of a Kafka record, whichever client fetched it."""

    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(slots=True)
class UnreadableRecord:
    """Stands for a record that the client cannot take apart. It is parked like any other that cannot be an event.

    Attributes:
        why: what is wrong with it, one sentence.
    """

    offset: int
    why: str
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one partition in order, with the position they were fetched at.

    Attributes:
        prev: the offset delivered to this worker before `records[0]`, -1 for none. Stamped where the records were
            fetched; a run is posted only if the ledger's checkpoint says the same.
    """

    topic: str
    partition: int
    prev: int
    records: Sequence[Record]

    @property
    def last(self) -> int:
        """The offset that the checkpoint moves to."""
        return self.records[-1].offset

"""Kafka, modelled: topics of partitions of records, with holes between offsets as transactions leave them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from faust.types import TP

RECORD_TIME_MS = 1_806_000_000_000
"""Late in March 2027, after every moment that events state: none of them lies in the future of its record."""


@dataclass(slots=True)
class LoggedRecord:
    """A record with its place on its partition."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    timestamp: int = RECORD_TIME_MS


class LogModel:
    """One cluster.

    Args:
        random: whose chance leaves holes.
        partitions: that are there from the beginning, without records.

    Attributes:
        records: partition -> its records in order.
        ends: partition -> the offset after its last record, or after the marker behind it.
        lasts: partition -> the offset of its last record, if it has any.
    """

    def __init__(self, random: Random, partitions: Iterable[TP]) -> None:
        self._random = random
        self.records: dict[TP, list[LoggedRecord]] = defaultdict(list)
        self.ends: dict[TP, int] = defaultdict(int, dict.fromkeys(partitions, 0))
        self.lasts: dict[TP, int] = {}

    def append(self, tp: TP, key, value, headers=(), *, holes: bool = False) -> LoggedRecord:
        """Write a record."""
        record = LoggedRecord(self.ends[tp], key, value, list(headers), RECORD_TIME_MS + len(self.records[tp]))
        self.records[tp].append(record)
        self.ends[tp] += 2 if holes and self._random.random() < 0.15 else 1
        self.lasts[tp] = record.offset
        return record

    def after(self, tp: TP, position: int, count: int) -> list[LoggedRecord]:
        """The next records from a position on."""
        return [record for record in self.records[tp] if record.offset >= position][:count]

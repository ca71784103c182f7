"""A topic read once, from its beginning to where it ends now, in the order of its records' times.

Joins no group and commits nothing, so that no worker notices. What a transaction took back is left out, as a worker
leaves it. Reads by librdkafka, which takes every compression that producers use.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import methodcaller
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ledger.errors import LedgerUnavailable
from streams.kafka.producer import BLOCK_MAX_S, listening_brokers
from streams.kafka.run import Record, UnreadableRecord
from streams.settings import Settings

_WAITING_MAX = 5_000
"""Records of a partition that wait for those of others: past it, the partition is not read for a while."""

_FETCHED_MAX = 1_000

_FETCH_AGAIN_MS = 10
"""How soon a partition that waited is fetched again: librdkafka's own second would be most of the reading's time."""

_headers_of = methodcaller("headers")
"""In this way a name that is not UTF-8 is an error at once; `message.headers()` leaves it to a later call."""


@dataclass(slots=True)
class LoggedRecord:
    """A record as `streams/kafka/run.py` describes it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Log:
    """The records of one topic, as many as there are when it is opened. Use as a context; iterate as often as needed.

    Args:
        settings: where Kafka is.
        topic: the topic.
        ends: the partitions that are read, and of each the offset after the last that is wanted; all if None.

    Attributes:
        topic: its name.
        records: how many there are at most: offsets that transactions left or took back count too.
        deleted: how many were there once and are not any more.

    Every method raises LedgerUnavailable when Kafka does not answer.
    """

    def __init__(self, settings: Settings, topic: str, ends: Mapping[int, int] | None = None) -> None:
        self.topic = topic
        self._brokers = listening_brokers(settings)
        self._consumer = Consumer(
            {
                "bootstrap.servers": ",".join(self._brokers),
                "group.id": "none: nothing is joined or committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 16 * 1024,
                "fetch.wait.max.ms": _FETCH_AGAIN_MS,
                "fetch.queue.backoff.ms": _FETCH_AGAIN_MS,
                "log_level": 0,
            }
        )
        try:
            wanted = dict.fromkeys(self._partitions()) if ends is None else ends
            self._spans = {number: self._span(number, end) for number, end in wanted.items()}
        except KafkaException as failure:
            self._consumer.close()
            raise self._away(failure.args[0]) from None
        self.records = sum(end - begin for begin, end in self._spans.values())
        self.deleted = sum(begin for begin, _ in self._spans.values())
        self._paused: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def __iter__(self) -> Iterator[Record]:
        """Each record; those of one partition in their order, of several the earlier first."""
        self._unread = {number for number, (begin, end) in self._spans.items() if begin < end}
        self._waiting: dict[int, deque[Record]] = {number: deque() for number in self._unread}
        self._consumer.assign([self._place(number, self._spans[number][0]) for number in self._unread])
        for number in tuple(self._paused):
            self._resume(number)
        first: list[tuple[int, int]] = []
        for number in self._waiting:
            self._queue(number, first)
        while first:
            _, number = heappop(first)
            yield self._waiting[number].popleft()
            self._queue(number, first)

    def _queue(self, number: int, first: list[tuple[int, int]]) -> None:
        """Enter a partition's next record, if it has one, among the first of each."""
        waiting = self._waiting[number]
        while not waiting and number in self._unread:
            if number in self._paused:
                self._resume(number)
            self._fetch()
        if waiting:
            heappush(first, (waiting[0].timestamp, number))

    def _fetch(self) -> None:
        message = self._consumer.poll(BLOCK_MAX_S)
        if message is None:
            raise LedgerUnavailable(f"Kafka sent nothing of {self.topic} for {BLOCK_MAX_S} s")
        for fetched in (message, *self._consumer.consume(_FETCHED_MAX, timeout=0)):
            self._keep(fetched)

    def _keep(self, message: Any) -> None:
        error, number, offset = message.error(), message.partition(), message.offset()
        if error is None and offset < self._spans[number][1]:
            waiting = self._waiting[number]
            waiting.append(_record(message))
            if len(waiting) >= _WAITING_MAX:
                self._pause(number)
        elif error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  its public name
            self._unread.discard(number)
            self._pause(number)
        else:
            raise self._away(error)

    def _pause(self, number: int) -> None:
        if number not in self._paused:
            self._consumer.pause([self._place(number)])
            self._paused.add(number)

    def _resume(self, number: int) -> None:
        self._consumer.resume([self._place(number)])
        self._paused.discard(number)

    def _partitions(self) -> Sequence[int]:
        topic = self._consumer.list_topics(self.topic, timeout=BLOCK_MAX_S).topics[self.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sorted(topic.partitions)

    def _span(self, number: int, wanted: int | None) -> tuple[int, int]:
        """The partition's first offset, and the one after its last, or after the last that is wanted."""
        begin, end = self._consumer.get_watermark_offsets(self._place(number), timeout=BLOCK_MAX_S, cached=False)
        return begin, end if wanted is None else max(begin, min(end, wanted))

    def _place(self, number: int, *offset: int) -> TopicPartition:
        return TopicPartition(self.topic, number, *offset)

    def _away(self, error: Any) -> LedgerUnavailable:
        named = ", ".join(self._brokers)
        return LedgerUnavailable(f"topic {self.topic} cannot be read from Kafka at {named}: {error.str()}")


def _record(message: Any) -> Record:
    _, timestamp = message.timestamp()
    try:
        headers = _headers_of(message) or ()
    except SystemError:
        return UnreadableRecord(message.offset(), "the name of a header is not UTF-8", timestamp)
    return LoggedRecord(message.offset(), timestamp, message.key(), message.value(), headers)

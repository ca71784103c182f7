"""Reading topics from outside a group: all that lies on one, and where its partitions begin and end. Writes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from kafka import KafkaConsumer, TopicPartition

from ledger.book.position import partition_name
from ledger.errors import LedgerUnavailable
from streams.kafka.producer import BLOCK_MAX_S, clean_client
from streams.kafka.run import Record
from streams.settings import Settings

_SILENT_MAX_S = 3 * BLOCK_MAX_S
"""How long a broker may hand out nothing although there is more."""


class LogReader:
    """One connection to Kafka. Blocks: call it in a thread. Make it with `open_log`."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    def records(self, topic: str) -> list[Record]:
        """Everything on a topic of one partition, up to its end as it is now.

        Raises:
            LedgerUnavailable: Kafka does not hand it out.
        """
        place = TopicPartition(topic, 0)
        self._consumer.assign([place])
        self._consumer.seek_to_beginning(place)
        end = self._consumer.end_offsets([place])[place]
        records: list[Record] = []
        until = monotonic() + _SILENT_MAX_S
        while (self._consumer.position(place, timeout_ms=BLOCK_MAX_S * 1000) or 0) < end:
            if found := self._consumer.poll(timeout_ms=1000).get(place):
                records += found
                until = monotonic() + _SILENT_MAX_S
            elif monotonic() > until:
                raise LedgerUnavailable(f"Kafka hands out nothing of {topic}, though it ends at {end}")
        return records

    def ends(self, topic: str) -> dict[str, int]:
        """The offset after the last record of each partition, by `<topic>:<number>`.

        Raises:
            LedgerUnavailable: there is no such topic.
        """
        return _by_name(self._consumer.end_offsets(self._places(topic)))

    def begins(self, topic: str) -> dict[str, int]:
        """The offset of the first record that each partition still holds, or of the next one; otherwise as `ends`."""
        return _by_name(self._consumer.beginning_offsets(self._places(topic)))

    def _places(self, topic: str) -> list[TopicPartition]:
        places = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        if not places:
            raise LedgerUnavailable(f"Kafka has no topic {topic}; run `quota-ledger topics create`")
        return places


def _by_name(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    return {partition_name(place.topic, place.partition): offset for place, offset in sorted(offsets.items())}


@contextmanager
def open_log(settings: Settings) -> Iterator[LogReader]:
    """A reader of this cluster's topics.

    Raises:
        LedgerUnavailable: Kafka does not answer, now or inside the `with`.
    """
    with clean_client(settings) as (brokers, make_client):
        consumer = KafkaConsumer(
            kafka_client=make_client,
            bootstrap_servers=brokers,
            api_version=settings.api_version,
            group_id=None,
            enable_auto_commit=False,
            bootstrap_timeout_ms=BLOCK_MAX_S * 1000,
        )
        try:
            yield LogReader(consumer)
        finally:
            consumer.close(autocommit=False)

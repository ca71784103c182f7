"""The agent that keeps Redis' copy of the topic `quota.settings`, and the adoption of a new ledger's first policy."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition

from ledger.book.kept_settings import KeptSettings, Setting, adoption
from ledger.book.position import NONE, partition_name
from ledger.errors import LedgerError
from ledger.policy import Policy, load_policy
from streams.kafka.producer import BLOCK_MAX_S, LazyProducer, clean_client
from streams.kafka.run import Record, Run
from streams.settings import Settings

log = logging.getLogger(__name__)


def keep_settings(kept: KeptSettings) -> Callable[[Run], Awaitable[None]]:
    """The agent's work on one run of the topic."""

    async def keep(run: Run) -> None:
        partition = partition_name(run.topic, run.partition)
        prev, records = run.prev, list(run.records)
        while records:
            settings = [Setting((record.key or b"").decode("utf-8", "replace"), record.value) for record in records]
            prev = await kept.keep(partition, prev, records[-1].offset, settings)
            records = [record for record in records if record.offset > prev]

    return keep


async def policy_in_force(settings: Settings, kept: KeptSettings, producer: LazyProducer) -> Policy:
    """The policy this ledger goes by. An empty Redis learns it from the topic; a new ledger adopts `QUOTA_POLICY`.

    Raises:
        LedgerUnavailable: Redis or Kafka does not answer.
        WrongCall: `QUOTA_POLICY` or `QUOTA_CHIPS` cannot be read.
    """
    if (policy := await kept.policy()) is not None:
        return policy
    await _read_topic(settings, kept)
    if (policy := await kept.policy()) is not None:
        return policy
    first = load_policy(settings.policy, settings.chips)
    setting = adoption(first, datetime.now(UTC).isoformat())
    producer.send_all(settings.topic_settings, [(setting.key.encode(), setting.value, [])])
    await _read_topic(settings, kept)  # another worker may have been first: the topic's order decides
    policy = await kept.policy()
    if policy is None:
        raise LedgerError(f"{settings.topic_settings} did not keep the adopted policy: is it another cluster's?")
    log.info("adopted policy %s, SHA-256 %s", policy.id, policy.sha256)
    return policy


async def _read_topic(settings: Settings, kept: KeptSettings) -> None:
    """Copy what lies on the topic now, before any agent runs. At once: no revoked key opens anything in between."""
    if records := _records(settings):
        await keep_settings(kept)(Run(settings.topic_settings, 0, NONE, records))


def _records(settings: Settings) -> list[Record]:
    place = TopicPartition(settings.topic_settings, 0)
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
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end = consumer.end_offsets([place])[place]
            records: list[Record] = []
            while consumer.position(place) < end:
                records += consumer.poll(timeout_ms=1000).get(place, [])
            return records
        finally:
            consumer.close(autocommit=False)

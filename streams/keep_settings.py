"""The agent that keeps Redis' copy of the topic `quota.settings`, and the adoption of a new ledger's first policy."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from ledger.book.kept_settings import KeptSettings
from ledger.book.position import NONE, partition_name
from ledger.book.setting import Setting, adoption, read_decision
from ledger.errors import LedgerError
from ledger.policy import Policy, load_policy
from streams.kafka.log_reader import LogReader, open_log
from streams.kafka.producer import LazyProducer
from streams.kafka.run import Record, Run
from streams.settings import Settings

log = logging.getLogger(__name__)


def keep_settings(
    kept: KeptSettings, *, on_kept: Callable[[], Awaitable[None]] | None = None
) -> Callable[[Run], Awaitable[None]]:
    """The agent's work on one run of the topic.

    Args:
        kept: where it is kept.
        on_kept: told when a run was.
    """

    async def keep(run: Run) -> None:
        partition = partition_name(run.topic, run.partition)
        prev, records = run.prev, list(run.records)
        while records:
            settings = [_setting(record) for record in records]
            count = _until_decision(settings)
            part = settings[:count]
            if not settings[0].decides:
                part += [setting for setting in settings[count:] if setting.has_a_last_word]
            prev = await kept.keep(partition, prev, records[count - 1].offset, part)
            records = [record for record in records if record.offset > prev]
        if on_kept is not None:
            await on_kept()

    return keep


def _setting(record: Record) -> Setting:
    return Setting((record.key or b"").decode("utf-8", "replace"), record.value, record.timestamp)


def _until_decision(settings: Sequence[Setting]) -> int:
    """How many settings come before the first that decides on an adoption; 1 if that one comes first."""
    return next((number for number, setting in enumerate(settings) if setting.decides), len(settings)) or 1


async def policy_in_force(settings: Settings, kept: KeptSettings, producer: LazyProducer) -> Policy:
    """The policy this ledger goes by, with everything on the topic kept. A new ledger adopts `QUOTA_POLICY`.

    Raises:
        LedgerUnavailable: Redis or Kafka does not answer.
        WrongCall: `QUOTA_POLICY` or `QUOTA_CHIPS` cannot be read.
        LedgerError, PositionLost: an adoption cannot be taken over.
    """
    with open_log(settings) as log_reader:
        lies_there = await asyncio.to_thread(log_reader.records, settings.topic_settings)
        if await kept.policy() is None and not any(read_decision(_setting(record)) for record in lies_there):
            first = load_policy(settings.policy, settings.chips)
            setting = adoption(first, 1, begins={}, adopted_at=datetime.now(UTC), token=uuid4().hex[:8])
            producer.send_all(settings.topic_settings, [(setting.key.encode(), setting.value, [])])
            log.info("a new ledger: adopting %s, unless another worker was first", first.id)
        await keep_topic(settings, kept, log_reader)  # the topic's order decides
    policy = await kept.policy()
    if policy is None:
        raise LedgerError(f"{settings.topic_settings} did not keep the adopted policy: is it another cluster's?")
    return policy


async def keep_topic(settings: Settings, kept: KeptSettings, log_reader: LogReader) -> None:
    """Copy what lies on the topic now. At once, so that no revoked key opens anything in between."""
    if records := await asyncio.to_thread(log_reader.records, settings.topic_settings):
        await keep_settings(kept)(Run(settings.topic_settings, 0, NONE, records))

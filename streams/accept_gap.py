"""Giving up records that the log deleted before they were applied: a record on `quota.settings` moves checkpoints.

Works with and without workers. Only the gap is given up that is there when this looks.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.book.gap import gap_setting
from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.errors import LedgerError
from schemas.accepted_gap import AcceptedGap
from streams.kafka.identity import LogIdentity
from streams.kafka.log_reader import LogReader
from streams.kafka.producer import LazyProducer, Outgoing
from streams.keep_settings import keep_topic
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptGaps:
    """One ledger's gaps, and the person who accepts them. Every method raises LedgerUnavailable.

    Attributes:
        now: when it is said.
    """

    settings: Settings
    kept: KeptSettings
    position: Position
    identity: LogIdentity
    log_reader: LogReader
    producer: LazyProducer
    actor: str
    reason: str
    now: datetime

    async def find(self) -> list[AcceptedGap]:
        """Every gap there is, in shipments and in alerts.

        Raises:
            PositionLost: another cluster, or a topic that was made anew: there offsets mean other records.
        """
        identity = await asyncio.to_thread(self.identity.read)
        await self.position.check_log(identity)
        gaps = []
        for topic in (self.settings.topic_shipments, self.settings.topic_alerts):
            begins = await asyncio.to_thread(self.log_reader.begins, topic)
            settled = await self.position.checkpoints(list(begins))
            gaps += [
                AcceptedGap(
                    partition=partition,
                    first=settled[partition] + 1,
                    last=begin - 1,
                    topic_id=identity.get(f"topic_id:{topic}"),
                    actor=self.actor,
                    reason=self.reason,
                    accepted_at=self.now,
                )
                for partition, begin in begins.items()
                if settled[partition] + 1 < begin
            ]
        return gaps

    async def accept(self, gaps: Sequence[AcceptedGap]) -> None:
        """Write that these gaps are accepted, and have the ledger go on behind them.

        Raises:
            LedgerError: it does not, for it has moved meanwhile; look again.
        """
        settings = [gap_setting(gap) for gap in gaps]
        records: list[Outgoing] = [(setting.key.encode(), setting.value, []) for setting in settings]
        await asyncio.to_thread(self.producer.send_all, self.settings.topic_settings, records)
        await keep_topic(self.settings, self.kept, self.log_reader)
        settled = await self.position.checkpoints([gap.partition for gap in gaps])
        if before := [gap.partition for gap in gaps if settled[gap.partition] < gap.last]:
            named = ", ".join(before)
            raise LedgerError(f"{named}: Redis went back meanwhile, and more than this gap is missing; look again")

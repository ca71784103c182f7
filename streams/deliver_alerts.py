"""The agent that hands alerts on: a run of the alerts topic -> the feed, and a job for each webhook that asks for it.

No HTTP here: the sender posts. Delivered is at least once; an alert told again on the topic gives nothing new.

After a total loss of Redis the topic is read again from its beginning. Everything enters the feed; what a receiver has
been told by the Redis that is lost is not delivered again if its shipment was recorded more than a day before the new
one began. Alerts on shipments that nobody had come to before the loss are delivered, however old they are.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from ledger.book.position import partition_name
from ledger.errors import PositionLost, WrongCall
from schemas.quota_alert import AlertKind, QuotaAlert
from streams.kafka.run import Record, Run
from streams.webhooks.jobs import Jobs, Known, NewAlert
from streams.webhooks.subscription import matches

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
ALERTS_A_CALL = 100
"""Redis serves nobody else during a call, and each alert may give a job for every webhook."""

URGENT: frozenset[AlertKind] = frozenset({"tier3.shipment", "hq.tier3", "ascend.detected"})
"""What waits behind no other alert at any webhook, whatever its severity: a storm of others does not delay it."""

SHIPMENT_TIME = "shipment-time"
"""The header that carries the Kafka time, in ms, of the record that gave rise to the alert."""


@dataclass(slots=True)
class Told:
    """How far the Redis before this one had come with telling, as far as the topic shows.

    Attributes:
        began_ms: when this Redis began to hold the ledger; None if it never said.
        until_ms: when the last alert was told that lay on the topic before that; None if none did.
    """

    began_ms: int | None
    until_ms: int | None

    def passes(self, record: Record) -> None:
        """Take the next record of the topic into account."""
        if self.began_ms is not None and record.timestamp < self.began_ms:
            self.until_ms = max(record.timestamp, self.until_ms or 0)

    def covers(self, record: Record) -> bool:
        """Whether the alert was told then, and more than a day ago: it is not delivered again."""
        if self.began_ms is None or self.until_ms is None:
            return False
        return _shipment_time_ms(record) <= min(self.began_ms - DAY_MS, self.until_ms)


def deliver_alerts(jobs: Jobs) -> Callable[[Run], Awaitable[None]]:
    """The agent's work on one run.

    Args:
        jobs: where feed and jobs are written. `Jobs.begin` was awaited at the worker's start.
    """

    async def deliver(run: Run) -> None:
        if run.partition != 0:
            raise WrongCall(f"the topic {run.topic} has several partitions; alerts are in order on one only")
        prev, records = run.prev, list(run.records)
        while records:
            part = records[:ALERTS_A_CALL]
            known = await jobs.known()
            told = Told(known.began_ms, known.told_until_ms)
            alerts = _choose(part, known, told)
            last = part[-1].offset
            answer = await jobs.take_over(
                (run.topic, run.partition),
                prev=prev,
                last=last,
                alerts=alerts,
                known=known,
                told_until_ms=told.until_ms,
            )
            if answer.status == "fenced":
                partition = partition_name(run.topic, run.partition)
                message = f"{partition}: alerts were taken over up to {prev}, but the checkpoint is {answer.checkpoint}"
                raise PositionLost(f"{message}: Redis went back, or was emptied", partition)
            if answer.status == "settled":
                prev = last
            elif answer.checkpoint is not None:  # behind; a subscription that changed only asks for the same again
                prev = answer.checkpoint
            records = [record for record in records if record.offset > prev]

    return deliver


def _choose(records: Sequence[Record], known: Known, told: Told) -> list[NewAlert]:
    """The run's alerts, each with the webhooks it goes to."""
    active = known.active()
    chosen: list[NewAlert] = []
    for record in records:
        told.passes(record)
        try:
            alert = QuotaAlert.model_validate_json(record.value or b"")
        except ValidationError:
            log.warning("offset %d of the alerts topic is no alert: passed over", record.offset)
            continue
        wanted = [] if told.covers(record) else [webhook.id for webhook in active if matches(webhook, alert)]
        urgent = alert.kind in URGENT
        text = record.value or b""
        chosen.append(NewAlert(record.offset, alert.alert_id, alert.kind, alert.country, text, wanted, urgent))
    return chosen


def _shipment_time_ms(record: Record) -> int:
    for name, value in record.headers:
        if name == SHIPMENT_TIME and value and value.isdigit():
            return int(value)
    return record.timestamp

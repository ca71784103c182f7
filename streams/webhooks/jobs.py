"""What is to be delivered, in Redis: the worker writes jobs, senders claim them and note what became of them.

A job is one alert for one webhook. It is written once, leased to one sender at a time, and comes back when that sender
dies. Scripts do the writing; their headers say what each call promises.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import LockError

from ledger.book.keys import Keys
from ledger.book.outbox import outbox_entry
from ledger.book.position import partition_name
from ledger.book.script import Script, asked
from ledger.errors import LedgerUnavailable
from schemas.quota_alert import QuotaAlert
from schemas.webhook import Delivery
from streams.webhooks.subscription import StoredSubscription, read_subscriptions

DELIVERIES_KEPT = 1_000
"""About how many attempts the log of one webhook holds, the newest."""

CHANGE_S = 120.0
"""How long a change of a subscription may take: longer than Kafka may over its record (`kafka/producer.py`: a minute).

As long it stays closed to others if the process that was changing it dies.
"""

CHANGE_WAIT_S = 5.0
"""How long one waits for another to end."""

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert as it came from the topic, and the ids of the webhooks it goes to.

    Attributes:
        urgent: whether it waits behind no other.
    """

    offset: int
    alert_id: str
    kind: str
    country: str | None
    text: bytes
    webhook_ids: Sequence[str]
    urgent: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis knew before a run of alerts is taken over.

    Attributes:
        records: webhook id -> the subscription's record.
        began_ms: when this Redis began to hold the ledger; None if nobody said.
        told_until_ms: when the last alert was told that lay on the topic before that; None if none did.
    """

    records: Mapping[str, bytes]
    began_ms: int | None
    told_until_ms: int | None

    def active(self) -> list[StoredSubscription]:
        """The subscriptions that get jobs."""
        subscriptions = read_subscriptions(self.records).values()
        return [subscription for subscription in subscriptions if subscription.state == "active"]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The answer to a run: what happened, and where the checkpoint stands if it is not where the caller thought."""

    status: Literal["settled", "behind", "fenced", "changed"]
    checkpoint: int | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """A job that one sender holds until its lease ends.

    Attributes:
        sequence: counts the webhook's deliveries, from 1.
        since_ms: when it was due for the first time.
        failed: attempts that failed so far.
        claim: names the lease.
        claimed_ms: when the lease began.
        alert: the alert in JSON, the bytes of the topic.
        is_test: whether the alert is none, and is tried once.
        urgent: whether it waits behind no other.
    """

    job_id: str
    webhook_id: str
    alert_id: str
    sequence: int
    since_ms: int
    failed: int
    claim: int
    claimed_ms: int
    alert: bytes
    is_test: bool
    urgent: bool


class Jobs:
    """The deliveries of one ledger.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.

    Every method raises LedgerUnavailable when Redis does not answer; every call may be repeated.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._deliver = Script(redis, _HERE / "deliver_batch.lua")
        self._claim = Script(redis, _HERE / "claim_jobs.lua")
        self._note = Script(redis, _HERE / "note_attempt.lua")
        self._order = Script(redis, _HERE / "order_delivery.lua")
        self._replace = Script(redis, _HERE / "replace_webhook.lua")

    # ------------------------------------------------------------------------------------------------- for the worker

    async def begin(self) -> None:
        """Remember when this Redis began to hold the ledger; only the first call counts.

        Every worker calls it at its start, before anything is relayed: an alert that was on the topic earlier was told
        by a Redis that is lost.
        """
        began_ms = str(await self.now_ms())
        await asked(self._redis.hsetnx(self._keys.meta, "began_ms", began_ms))

    async def known(self) -> Known:
        """What a run of alerts is judged by."""
        fields = ["began_ms", "told_until_ms"]
        found = await asked(self._redis.hmget(self._keys.meta, fields))
        began_ms, told_until_ms = (None if value is None else int(value) for value in found)
        return Known(await self.records(), began_ms, told_until_ms)

    async def take_over(
        self,
        partition: tuple[str, int],
        *,
        prev: int,
        last: int,
        alerts: Sequence[NewAlert],
        known: Known,
        told_until_ms: int | None,
    ) -> TakenOver:
        """Settle a run of the alerts topic: the feed, the jobs and the checkpoint, or nothing at all.

        Args:
            partition: topic and number.
            prev: the offset that was delivered before the run.
            last: the offset that the checkpoint moves to.
            alerts: the run's alerts in order, with the webhooks chosen from `known`.
            known: what the caller chose by.
            told_until_ms: see `Known`; as this run leaves it.
        """
        webhook_ids = list(known.records)
        position = {webhook_id: str(number) for number, webhook_id in enumerate(webhook_ids, start=1)}
        keys = self._keys
        names = [keys.meta, keys.alerts, keys.alert_ids, keys.webhooks, keys.jobs, keys.sequences]
        names += self._due_sets(webhook_ids)
        arguments: list[Any] = [partition_name(*partition), prev, last, await self.now_ms()]
        arguments += ["" if told_until_ms is None else told_until_ms, json.dumps(webhook_ids), _digest(known.records)]
        for alert in alerts:
            chosen = " ".join(position[webhook_id] for webhook_id in alert.webhook_ids)
            arguments += [alert.offset, alert.alert_id, alert.kind, alert.country or "", alert.text, chosen]
            arguments.append("1" if alert.urgent else "0")
        status, *told = await self._deliver(names, arguments)
        word = status.decode()
        return TakenOver(word, told[0] if word in ("behind", "fenced") else None)

    # ------------------------------------------------------------------------------------------------- for the sender

    async def now_ms(self) -> int:
        """Redis' clock, in milliseconds since 1970: the one by which jobs are due and leased, whoever asks."""
        seconds, microseconds = await asked(self._redis.time())
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def records(self) -> dict[str, bytes]:
        """Every subscription's record by its webhook's id."""
        found: dict[bytes, bytes] = await asked(self._redis.hgetall(self._keys.webhooks))
        return {webhook_id.decode(): record for webhook_id, record in found.items()}

    async def claim(self, wanted: Mapping[str, int], *, count: int, now_ms: int, lease_ms: int) -> list[Leased]:
        """Lease jobs that are due.

        Args:
            wanted: webhook id -> how many of its jobs at most; who comes first is served first.
            count: how many at most in all.
            now_ms: what is due by then.
            lease_ms: for how long; a job that is not noted by then is due again.
        """
        keys = [self._keys.jobs, self._keys.alerts, *self._due_sets(wanted)]
        return [
            _read_leased(job_id, text, alert, now_ms)
            for job_id, text, alert in await self._claim(keys, [now_ms, lease_ms, count, *wanted.values()])
        ]

    async def note(
        self,
        leased: Leased,
        delivery: Delivery,
        *,
        next_ms: int | None,
        success_ms: int | None = None,
        told: QuotaAlert | None = None,
    ) -> bool:
        """Note what became of a leased job, and log the attempt.

        Args:
            leased: the job.
            delivery: the attempt, for the log.
            next_ms: when to try again; None if never.
            success_ms: when the receiver took it, if it did.
            told: the alert that it is given up, if it is.

        Returns:
            False if the lease was over and another sender has the job: then only the log was written.
        """
        keys, webhook_id = self._keys, leased.webhook_id
        due = keys.urgent(webhook_id) if leased.urgent else keys.due(webhook_id)
        names = [keys.jobs, due, keys.deliveries(webhook_id), keys.answered, keys.outbox]
        alert = "" if told is None else outbox_entry(leased.claimed_ms, told)
        times = ["" if moment is None else moment for moment in (next_ms, success_ms)]
        log = delivery.model_dump_json()
        [status] = await self._note(names, [leased.job_id, leased.claim, *times, log, DELIVERIES_KEPT, alert])
        return bool(status == b"noted")

    async def last_success_ms(self, webhook_id: str) -> int:
        """When the webhook's receiver last took a delivery; 0 if never."""
        found = await asked(self._redis.hget(self._keys.answered, webhook_id))
        return int(found or 0)

    # ------------------------------------------------------------------------------------------------- for the desk

    async def order(
        self, webhook_id: str, alert_id: str, *, sequence: int | None = None, text: bytes = b""
    ) -> str | None:
        """Have an alert delivered because a person asks for it.

        Args:
            webhook_id: to whom.
            alert_id: which.
            sequence: of the delivery that is repeated; None for the next number.
            text: of an alert that stands in no feed; it is tried once.

        Returns:
            The delivery's id; None if the feed has no such alert.
        """
        keys = self._keys
        names = [keys.jobs, keys.due(webhook_id), keys.urgent(webhook_id), keys.sequences, keys.alert_ids]
        number = "" if sequence is None else sequence
        [status] = await self._order(names, [webhook_id, alert_id, await self.now_ms(), number, text])
        return f"{webhook_id}:{alert_id}" if status == b"ordered" else None

    async def deliveries(self, webhook_id: str, *, before: str | None, count: int) -> list[tuple[str, Delivery]]:
        """Attempts at a webhook with their places in its log, the newest first.

        Args:
            webhook_id: whose.
            before: the place before which to begin; None for the newest.
            count: how many at most.
        """
        upto = "+" if before is None else f"({before}"
        newest = self._redis.xrevrange(self._keys.deliveries(webhook_id), max=upto, count=count)
        return [
            (place.decode(), Delivery.model_validate_json(fields[b"delivery"])) for place, fields in await asked(newest)
        ]

    async def keep(self, new: StoredSubscription) -> None:
        """Have a new subscription in Redis at once; the worker copies it from the topic too."""
        await asked(self._redis.hsetnx(self._keys.webhooks, new.id, new.to_record().decode()))

    async def forget(self, webhook_id: str) -> None:
        """Remove a subscription and all that is kept for it. A sender that has one of its jobs notes it in vain."""
        keys = self._keys
        await asked(self._redis.hdel(keys.webhooks, webhook_id))
        for due in self._due_sets([webhook_id]):
            if jobs := await asked(self._redis.zrange(due, 0, -1)):
                await asked(self._redis.hdel(keys.jobs, *jobs))
        await asked(self._redis.delete(*self._due_sets([webhook_id]), keys.deliveries(webhook_id)))
        await asked(self._redis.hdel(keys.answered, webhook_id))

    @asynccontextmanager
    async def changing(self, webhook_id: str) -> AsyncIterator[None]:
        """Let nobody else change this subscription meanwhile: neither change is lost, and no removal undone.

        Raises:
            LedgerUnavailable: another change is under way and does not end.
        """
        lock = self._redis.lock(
            self._keys.changing(webhook_id), timeout=CHANGE_S, blocking_timeout=CHANGE_WAIT_S, thread_local=False
        )
        if not await asked(lock.acquire()):
            raise LedgerUnavailable("another change of this webhook is under way; try again")
        try:
            yield
        finally:
            with suppress(LockError, LedgerUnavailable):  # its time ended, or ends by itself
                await asked(lock.release())

    async def replace(self, old: bytes, new: StoredSubscription) -> bool:
        """Change a subscription in Redis, unless it is no longer the record `old`."""
        [status] = await self._replace([self._keys.webhooks], [new.id, old, new.to_record()])
        return bool(status == b"replaced")

    def _due_sets(self, webhook_ids: Iterable[str]) -> list[str]:
        """The sorted sets of due jobs, two a webhook, as scripts take them: first the urgent ones, then all others."""
        keys = self._keys
        return [name for webhook_id in webhook_ids for name in (keys.urgent(webhook_id), keys.due(webhook_id))]


def _digest(records: Mapping[str, bytes]) -> str:
    read = b"".join(record + b"\0" for record in records.values())
    return hashlib.sha1(read).hexdigest()  # noqa: S324  what a script in Redis can compute; tells change, not forgery


def _read_leased(job_id: bytes, text: bytes, alert: bytes, now_ms: int) -> Leased:
    job = json.loads(text)
    return Leased(
        job_id=job_id.decode(),
        webhook_id=job["webhook_id"],
        alert_id=job["alert_id"],
        sequence=job["sequence"],
        since_ms=job["since_ms"],
        failed=job["failed"],
        claim=job["claim"],
        claimed_ms=now_ms,
        alert=alert,
        is_test="alert" in job,
        urgent=job.get("urgent", False),
    )

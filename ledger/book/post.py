"""A run of judged records -> posted exactly once, with its alerts and its checkpoint.

Everything that Redis already knows is found out by the call that would write: an id that is known, an account that
would cross a level, a checkpoint that is not where it should be. Then nothing is written, the answer is dealt with
here, and the call is made again, saying what it was told.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ledger.book.account import AccountBalance, account_of, field_of
from ledger.book.ids import POSTED, digest_of_content, digest_of_key, place_of, same_bytes
from ledger.book.journal import Kept, pack
from ledger.book.keys import Keys
from ledger.book.outbox import outbox_entry
from ledger.book.read import read_place
from ledger.book.script import Script
from ledger.errors import LedgerClosed, PolicyChanged, PositionLost
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.alerts import crossing_alerts, notice_alerts, reject_alert
from ledger.rules.assess import assess
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.channels import limits_of
from ledger.rules.levels import LOUD, Crossing, Limits, quiet_range, settle
from schemas.adoption import Closure
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.shipment_event import ShipmentEvent

_ENDS = [POSTED + number.to_bytes(2, "big") for number in range(2000)]
"""Kind and index of each new event of a call, as the script's header lays them out."""

_LAST_MS = 253_000_000_000_000
"""A moment in the year 9987."""


class Judged:
    """What posting needs of a record that became an event.

    The event itself is let go, and read again where it is looked at closely: a thousand decoded events kept alive cost
    more than the few that are read twice.

    Attributes:
        timestamp_ms: the record's Kafka time.
        headers: its CloudEvents headers, none unless it came in binary mode.
        source: the event's source.
        held: how many of its lines wait for a person.
        noticed: whether the event alone gives rise to alerts.
        key_digest: what the ledger remembers its key by.
        content_digest: what tells its bytes from others.
    """

    __slots__ = (
        "charges", "content_digest", "headers", "held", "key_digest", "noticed", "offset", "source", "timestamp_ms",
        "value",
    )  # fmt: skip

    def __init__(
        self,
        offset: int,
        timestamp_ms: int,
        value: bytes,
        headers: tuple[tuple[str, bytes], ...],
        *,
        event: ShipmentEvent,
        assessment: Assessment,
    ) -> None:
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.value = value
        self.headers = headers
        self.source = event.source
        self.charges = assessment.charges
        self.held = len(assessment.held)
        self.noticed = bool(assessment.notices)
        self.key_digest = digest_of_key(event.source, event.id)
        self.content_digest = digest_of_content(value, headers)

    def event(self) -> ShipmentEvent:
        """The event, read once more."""
        return read_event(self.value, self.headers, default_source=self.source)


@dataclass(slots=True)
class Unfit:
    """A record that is to be parked."""

    offset: int
    timestamp_ms: int
    rejected: RejectedRecord


@lru_cache(maxsize=4096)
def kafka_time(timestamp_ms: int) -> datetime:
    """A record's Kafka time, which its producer may have made up: kept within what a calendar knows."""
    return datetime.fromtimestamp(min(max(timestamp_ms, 0), _LAST_MS) / 1000, UTC)


Stretch = tuple[Policy, Sequence[Judged | Unfit]]
"""Records that one policy rules, and that policy."""

Park = Callable[[Sequence[Unfit]], Awaitable[None]]
"""Puts records into the rejects and returns when Kafka has them."""


class Book:
    """Posts runs to one ledger.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
        now: the clock, for the time a posting bears. No rule reads it.
    """

    def __init__(self, redis: Redis, ledger: str, *, now: Callable[[], datetime]) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._script = Script(redis, Path(__file__).with_name("post_batch.lua"))
        self._now = now
        self._parked: dict[str, set[int]] = {}

    async def post(
        self, partition: str, prev: int, stretches: Sequence[Stretch], *, rules: Rulebook, park: Park
    ) -> int:
        """Settle every record of a run, whatever the ledger already knows of it.

        Args:
            partition: `<topic>:<number>`.
            prev: the offset that was delivered before the run.
            stretches: the run's records in order, cut where another policy begins to rule.
            rules: the adoptions by which they were cut; levels are measured by the policy in force.
            park: where unfit records go, before the checkpoint passes them.

        Returns:
            How many alerts were written.

        Raises:
            PositionLost: the ledger is behind what was delivered: stop.
            PolicyChanged: there is a newer adoption: cut and judge the records again.
            LedgerClosed: wait; LedgerUnavailable: wait. Either way the call may be repeated whole; what was parked
                is not parked again.
        """
        parked = self._parked.setdefault(partition, set())
        alert_count = 0
        for policy, judged in stretches:
            items = judged
            while items := [item for item in items if item.offset > prev]:
                part = _until_contradiction(items)
                posting = _Posting(self, partition, prev, part, policy=policy, rules=rules, park=park, parked=parked)
                prev = await posting.settle()
                alert_count += posting.alert_count
        del self._parked[partition]
        return alert_count

    async def call(self, arguments: Sequence[Any]) -> list[Any]:
        """One call of the script, which its header describes."""
        keys = self._keys
        names = (keys.ids, keys.balances, keys.journal, keys.outbox, keys.meta)
        answer: list[Any] = await self._script(names, arguments)
        return answer

    async def content_at(self, place: bytes, source: str) -> bytes:
        """What the known event of that source at this place says."""
        found = await read_place(self._redis, self._keys, place)
        return found.read_event(source).content()

    def posted_at(self) -> datetime:
        """The time a posting bears."""
        return self._now().astimezone(UTC)


class _Posting:
    """One part of a run on its way: what it was told so far, and the call that says so."""

    def __init__(
        self,
        book: Book,
        partition: str,
        prev: int,
        part: "_Part",
        *,
        policy: Policy,
        rules: Rulebook,
        park: Park,
        parked: set[int],
    ) -> None:
        self._book = book
        self._partition, self._prev, self._last = partition, prev, part.last
        self._policy, self._rules = policy, rules
        self._park, self._parked = park, parked
        self._first, self._repeats, self._unfit = part.first, part.repeats, part.unfit
        self._told: dict[bytes, bytes] = {}
        self._conflicts: dict[bytes, list[Unfit]] = {}
        self._seen: dict[str, str] = {}
        self._chunks: list[bytes] | None = None
        self._posted_at = book.posted_at()
        self.alert_count = 0

    async def settle(self) -> int:
        """Post the part; returns the offset up to which the ledger is settled now."""
        await self._park_new(self._unfit)
        while True:
            status, *told = await self._book.call(self._call())
            match status:
                case b"posted":
                    return self._last
                case b"behind":
                    self.alert_count = 0
                    return int(told[0])
                case b"known":
                    await self._learn_ids(told)
                case b"accounts":
                    self._seen |= {name.decode(): record.decode() for name, record in _pairs(told)}
                case b"adopting":
                    raise LedgerClosed(Closure.model_validate_json(told[0]).sentence())
                case b"policy" if told[0]:
                    raise PolicyChanged(told[0].decode())
                case _:
                    checkpoint = told[0].decode() if told and told[0] else "none"
                    raise PositionLost(
                        f"{self._partition}: {self._prev} was delivered before this run, but the ledger's checkpoint "
                        f"is {checkpoint}: Redis went back, or was emptied",
                        self._partition,
                    )

    async def _learn_ids(self, told: Sequence[bytes]) -> None:
        """Known ids: the same content is a duplicate and dropped, another one a conflict and parked."""
        self._chunks = None
        for key, value in _pairs(told):
            self._conflicts.pop(key, None)
            if not value:
                self._told.pop(key, None)
                continue
            self._told[key] = value
            first = self._first[key]
            if same_bytes(value, first.content_digest):
                continue
            if await self._book.content_at(place_of(value), first.source) != first.event().content():
                self._conflicts[key] = [
                    Unfit(item.offset, item.timestamp_ms, _conflict(item.event()))
                    for item in (first, *self._repeats.get(key, ()))
                ]
        await self._park_new(self._contradicting())

    def _contradicting(self) -> list[Unfit]:
        return [item for same in self._conflicts.values() for item in same]

    async def _park_new(self, unfit: Sequence[Unfit]) -> None:
        if waiting := [item for item in unfit if item.offset not in self._parked]:
            await self._park(waiting)
            self._parked |= {item.offset for item in waiting}

    def _call(self) -> list[Any]:
        told = self._told
        fresh = [item for key, item in self._first.items() if key not in told] if told else [*self._first.values()]
        rows, events = self._sum_up(fresh)
        alerts = self._reject_alerts() + self._notices(fresh)
        accounts = [row.argument(self._posted_at, self._seen.get(row.name)) for row in rows.values()]
        for row in rows.values():
            if row.name in self._seen:
                record, crossed = self._walk(row, fresh)
                accounts[row.number][-1] = record
                alerts += crossed
        alerts.sort(key=lambda told: told[0])
        self.alert_count = len(alerts)
        chunks = self._chunks = self._chunks or pack(events)
        return [
            self._partition,
            self._prev,
            self._last,
            self._rules.number,
            self._policy.sha256,
            self._posted_at.isoformat(),
            b"".join(
                part
                for item, end in zip(fresh, _ENDS, strict=False)
                for part in (item.key_digest, item.content_digest, end)
            ),
            b"".join(key + value for key, value in told.items()),
            json.dumps(accounts),
            "0",
            len(chunks),
            *chunks,
            *(outbox_entry(timestamp_ms, alert) for _, timestamp_ms, alert in alerts),
        ]

    def _sum_up(self, fresh: Sequence[Judged]) -> "tuple[dict[tuple[str, str], _Row], list[Kept]]":
        """What each account is to be changed by, and the events as the journal keeps them."""
        rows: dict[tuple[str, str], _Row] = {}
        events: list[Kept] = []
        for item in fresh:
            charges = []
            for charge in item.charges:
                place = charge.account, charge.period
                row = rows.get(place) or rows.setdefault(place, _Row(field_of(*place), len(rows)))
                tpp = charge.tpp
                row.posted = posted = row.posted + tpp
                if posted > row.highest:
                    row.highest = posted
                elif posted < row.lowest:
                    row.lowest = posted
                if not charge.carried:
                    row.touched = True
                charges.append((row.number, tpp))
            if item.held and (waiting := _held_account(item.event(), self._policy)):
                row = rows.get(waiting) or rows.setdefault(waiting, _Row(field_of(*waiting), len(rows)))
                row.held += item.held
            events.append((item.offset, charges, item.value, item.headers))
        return rows, events

    def _walk(self, row: "_Row", fresh: Sequence[Judged]) -> "tuple[str, list[_Told]]":
        """An account that crosses a level, event by event: the record to write and what is to be told."""
        record = self._seen[row.name]
        account, _, period = row.name.rpartition("|")
        balance = account_of(row.name, record.encode()) if record else AccountBalance(account, period)
        alerts: list[_Told] = []
        posted, marks, quiet = balance.posted_tpp, balance.marks, balance.quiet if record else LOUD
        shipped_to = balance.last_posted_at is not None
        for item in fresh:
            for charge in item.charges:
                if (charge.account, charge.period) != (account, period):
                    continue
                posted += charge.tpp
                shipped_to |= not charge.carried
                if not shipped_to:
                    continue
                limits = limits_of(self._rules.in_force, charge)
                marks, crossings = settle(marks, limits, posted, self._posted_at)
                quiet = LOUD if charge.kind == "uveu" else quiet_range(marks, limits)
                if crossings:
                    alerts += self._crossed(item, charge, crossings, limits)
        assert posted == balance.posted_tpp + row.posted
        after = replace(
            balance,
            posted_tpp=posted,
            held_lines=balance.held_lines + row.held,
            last_posted_at=self._posted_at if row.touched else balance.last_posted_at,
            marks=marks,
            quiet=quiet,
        )
        return after.to_record().decode(), alerts

    def _crossed(self, item: Judged, charge: ChargeDue, crossings: Sequence[Crossing], limits: Limits) -> "list[_Told]":
        event = item.event()
        told = crossing_alerts(
            crossings,
            charge,
            event,
            limits=limits,
            assessment=assess(event, self._policy),
            policy=self._rules.in_force,
            recorded_at=self._posted_at,
            measured_since=self._rules.measured_since(charge.account, charge.period),
        )
        return [(item.offset, item.timestamp_ms, alert) for alert in told]

    def _notices(self, fresh: Sequence[Judged]) -> "list[_Told]":
        alerts: list[_Told] = []
        for item in fresh:
            if item.noticed:
                event = item.event()
                noticed = notice_alerts(event, assess(event, self._policy), self._policy, self._posted_at)
                alerts += [(item.offset, item.timestamp_ms, alert) for alert in noticed]
        return alerts

    def _reject_alerts(self) -> "list[_Told]":
        topic, _, number = self._partition.rpartition(":")
        return [
            (
                item.offset,
                item.timestamp_ms,
                reject_alert(
                    item.rejected,
                    place=f"{topic}/{number}/{item.offset}",
                    occurred_at=kafka_time(item.timestamp_ms),
                    recorded_at=self._posted_at,
                    policy=self._policy,
                ),
            )
            for item in (*self._unfit, *self._contradicting())
        ]


_Told = tuple[int, int, QuotaAlert]
"""Offset and Kafka time (ms) of the record that gave rise to an alert, and the alert."""


@dataclass(slots=True)
class _Row:
    """One account's changes in a call: TPP in all, and how low and high the use goes on the way."""

    name: str
    number: int
    posted: int = 0
    held: int = 0
    lowest: int = 0
    highest: int = 0
    touched: bool = False

    def argument(self, posted_at: datetime, expected: str | None) -> list[Any]:
        latest = posted_at.isoformat() if self.touched else ""
        return [self.name, self.posted, 0, self.held, self.lowest, self.highest, latest, expected, None]


@dataclass(slots=True)
class _Part:
    """As much of a run as one call can settle.

    Attributes:
        last: its last offset.
        first: by key digest, the first record of each event.
        repeats: by key digest, further records that say the same.
    """

    last: int
    first: dict[bytes, Judged]
    repeats: dict[bytes, list[Judged]]
    unfit: list[Unfit]


def _until_contradiction(items: Sequence[Judged | Unfit]) -> _Part:
    """The items up to the first that contradicts an earlier one: that one is judged when the earlier is posted."""
    part = _Part(items[-1].offset, {}, {}, [])
    last = -1
    for item in items:
        if isinstance(item, Unfit):
            part.unfit.append(item)
        elif (earlier := part.first.setdefault(item.key_digest, item)) is not item:
            if earlier.content_digest != item.content_digest and earlier.event().content() != item.event().content():
                part.last = last
                break
            part.repeats.setdefault(item.key_digest, []).append(item)
        last = item.offset
    return part


def _held_account(event: ShipmentEvent, policy: Policy) -> tuple[str, str] | None:
    period = policy.period_of(event.shipped_at.date())
    return (f"country:{event.data['destination']}", period) if period else None


def _conflict(event: ShipmentEvent) -> RejectedRecord:
    advice = "an event with this source and id is known with another content; give the new one an id of its own"
    return RejectedRecord([FieldError("conflict", "id", f"{event.key}: {advice}")], event.key)


def _pairs(flat: Sequence[bytes]) -> "zip[tuple[bytes, bytes]]":
    return zip(flat[::2], flat[1::2], strict=True)

"""A run of judged records -> posted exactly once, with its alerts and its checkpoint.

Everything that Redis already knows is found out by the call that would write: an id that is known, a family that has
grown, an account that would cross a level, a checkpoint that is not where it should be. Then nothing is written, the
answer is dealt with here, and the call is made again, saying what it was told.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ledger.book import bookings
from ledger.book.account import AccountBalance, account_of, field_of
from ledger.book.bookings import RESERVED
from ledger.book.families import Cause, Expiry, Families
from ledger.book.family import minute_of
from ledger.book.ids import AWAITED, content_of, place_of
from ledger.book.journal import Kept, pack
from ledger.book.judged import Judged, Unfit, kafka_time
from ledger.book.keys import Keys
from ledger.book.outbox import outbox_entry
from ledger.book.place import read_place
from ledger.book.position import TICK
from ledger.book.script import Script, asked
from ledger.book.today import Today, day_in_text, read_day
from ledger.errors import LedgerClosed, PolicyChanged, PositionLost
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook, Yardstick
from ledger.rules.alerts import crossing_alerts, expired_alert, notice_alerts, reject_alert
from ledger.rules.assessment import Assessment, ChargeDue
from ledger.rules.families import Moved
from ledger.rules.follower import own_key
from ledger.rules.judge import judge
from ledger.rules.levels import LOUD, Crossing, Limits, quiet_range, settle
from schemas.adoption import Closure
from schemas.decision import Tier
from schemas.quota_alert import QuotaAlert
from schemas.rejected_record import conflict
from schemas.shipment_event import ShipmentEvent

EXPIRIES_MAX = 100
"""Reservations whose expiry one call books."""

_INDEXES = [number.to_bytes(2, "big") for number in range(2000)]
"""The index of each new event of a call, as the script's header lays it out."""

_KEY, _CONTENT = attrgetter("key_digest"), attrgetter("content_digest")

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
        self._today = Today(redis, ledger)
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

    async def begin_day(self, today: date, *, rules: Rulebook) -> int:
        """Measure accounts by the caps of a day; returns how many alerts were written. Raises as `post`."""
        return await self._today.begin(today, rules)

    async def tick(self, minute: int, *, rules: Rulebook) -> int:
        """Let time pass: accounts are measured by the caps of the day, reservations whose time is over are freed.

        Args:
            minute: whole minutes since 1970. Nothing happens if the ledger has come as far.
            rules: the adoptions.

        Returns:
            How many alerts were written.

        Raises:
            As `post`.
        """
        alert_count = await self.begin_day(minute_of(minute).date(), rules=rules)
        while (prev := await self.last_tick()) < minute:
            until_ms = int(minute_of(minute).timestamp() * 1000)
            found = await asked(self._redis.zrangebyscore(self._keys.expiries, "-inf", until_ms, 0, EXPIRIES_MAX))
            last = minute if len(found) < EXPIRIES_MAX else prev
            part = _Part(last, {}, {}, [])
            posting = _Posting(self, TICK, prev, part, policy=rules.in_force, rules=rules)
            await posting.expire([bytes.fromhex(key.decode()) for key in found], minute)
            await posting.settle()
            alert_count += posting.alert_count
        return alert_count

    async def last_tick(self) -> int:
        """The minute up to which time has passed in this ledger; -1 before the first."""
        minute = await asked(self._redis.hget(self._keys.meta, f"checkpoint:{TICK}"))
        return -1 if minute is None else int(minute)

    async def call(self, accounts: Iterable[str], arguments: Sequence[Any]) -> list[Any]:
        """One call of the script, which its header describes."""
        keys = self._keys
        names = (
            keys.ids, keys.balances, keys.journal, keys.outbox, keys.meta, keys.families, keys.expiries, keys.waits,
            *map(keys.bookings, accounts),
        )  # fmt: skip
        answer: list[Any] = await self._script(names, arguments)
        return answer

    async def content_at(self, place: bytes, source: str) -> bytes:
        """What the known event of that source at this place says."""
        found = await read_place(self._redis, self._keys, place)
        return found.read_event(source).content()

    def families(self, rules: Rulebook) -> Families:
        """The ledger's families, for one posting."""
        return Families(self._redis, self._keys, rules)

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
        park: Park | None = None,
        parked: set[int] | None = None,
    ) -> None:
        self._book = book
        self._partition, self._prev, self._last = partition, prev, part.last
        self._policy, self._rules = policy, rules
        self._park, self._parked = park, set() if parked is None else parked
        self._first, self._repeats, self._unfit = part.first, part.repeats, part.unfit
        self._told: dict[bytes, bytes] = {}
        self._conflicts: dict[bytes, list[Unfit]] = {}
        self._seen: dict[str, str] = {}
        self._measure = Yardstick(rules, date.max)
        self._families = book.families(rules)
        self._minute: int | None = None
        self._chunks: list[bytes] | None = None
        self._posted_at = book.posted_at()
        self.alert_count = 0

    async def settle(self) -> int:
        """Post the part; returns the offset up to which the ledger is settled now."""
        await self._park_new(self._unfit)
        await self._look_up_originals()
        while True:
            status, *told = await self._book.call(*self._call())
            match status:
                case b"posted":
                    return self._last
                case b"behind":
                    self.alert_count = 0
                    return int(told[0])
                case b"known":
                    await self._learn_ids(told)
                case b"families":
                    await self._look_up(told)
                case b"accounts":
                    self._measure = Yardstick(self._rules, read_day(told[0]))
                    self._seen |= {name.decode(): record.decode() for name, record in _pairs(told[1:])}
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

    async def _look_up_originals(self) -> None:
        named = (item.ties.original for item in self._first.values() if item.ties is not None)
        await self._families.look_up({key: original for original, key in filter(None, named)})

    async def expire(self, keys: Iterable[bytes], minute: int) -> None:
        """Let a minute pass for the families of these originals, by the digests of their keys."""
        self._minute = minute
        await self._look_up(keys)

    async def _look_up(self, keys: Iterable[bytes]) -> None:
        self._chunks = None
        await self._families.look_up(dict.fromkeys(keys))

    async def _learn_ids(self, told: Sequence[bytes]) -> None:
        """Known ids: the same content is a duplicate and dropped, another one a conflict and parked."""
        self._chunks = None
        for key, value in _pairs(told):
            first = self._first.get(key)
            if key in self._families.told or (first is not None and value == AWAITED):
                await self._families.look_up({key: own_key(first.event()) if first is not None else None})
            if first is None:
                continue
            self._conflicts.pop(key, None)
            if not value or value == AWAITED:
                self._told.pop(key, None)
                continue
            self._told[key] = value
            if content_of(value) == first.content_digest:
                continue
            if await self._book.content_at(place_of(value), first.source) != first.event().content():
                self._conflicts[key] = [
                    Unfit(item.offset, item.timestamp_ms, conflict(item.event().key))
                    for item in (first, *self._repeats.get(key, ()))
                ]
        await self._park_new(self._contradicting())

    def _contradicting(self) -> list[Unfit]:
        return [item for same in self._conflicts.values() for item in same]

    async def _park_new(self, unfit: Sequence[Unfit]) -> None:
        if self._park and (waiting := [item for item in unfit if item.offset not in self._parked]):
            await self._park(waiting)
            self._parked |= {item.offset for item in waiting}

    def _call(self) -> tuple[list[str], list[Any]]:
        """The accounts that are to be changed, and the script's arguments."""
        told = self._told
        fresh = [item for key, item in self._first.items() if key not in told] if told else [*self._first.values()]
        causes: Sequence[Cause] = fresh
        if self._minute is None:
            changes = self._families.joined_by(fresh, self._policy)
        else:
            causes, changes = self._families.at(self._minute)
        rows, events = self._sum_up(causes, changes.moves)
        alerts = self._reject_alerts() + self._notices(causes)
        accounts = [row.argument(self._posted_at, self._seen.get(row.name)) for row in rows.values()]
        for row in rows.values():
            if row.name in self._seen:
                record, crossed = self._walk(row, causes, changes.moves)
                accounts[row.number][-1:] = record, day_in_text(self._measure.today)
                alerts += crossed
        alerts.sort(key=lambda told: told[0])
        self.alert_count = len(alerts)
        chunks = self._chunks = self._chunks or pack(events)
        families, waits = changes.arguments()
        return [row.name for row in rows.values()], [
            self._partition,
            self._prev,
            self._last,
            self._rules.number,
            self._policy.sha256,
            self._posted_at.isoformat(),
            b"".join(chain.from_iterable(zip(map(_KEY, fresh), map(_CONTENT, fresh), _INDEXES, strict=False))),
            b"".join(key + value for key, value in (*told.items(), *self._families.told.items())),
            json.dumps(accounts),
            "1" if self._rules.in_force.reserved_counts else "0",
            len(chunks),
            len(changes.families),
            waits,
            *chunks,
            *families,
            *(bookings.pack(row.bookings) if row.bookings else b"" for row in rows.values()),
            *(outbox_entry(timestamp_ms, alert) for _, timestamp_ms, alert in alerts),
        ]

    def _sum_up(
        self, causes: Sequence[Cause], moves: Mapping[Cause, Sequence[Moved]]
    ) -> "tuple[dict[tuple[str, str], _Row], list[Kept]]":
        """What each account is to be changed by, and the events as the journal keeps them."""
        rows: dict[tuple[str, str], _Row] = {}
        events: list[Kept] = []
        reserved_counts = self._rules.in_force.reserved_counts
        for number, item in enumerate(causes):
            moved = moves.get(item) if moves else None
            charges: list[int] = []
            occurred_s = item.occurred_s
            for charge in item.charges if moved is None else _charges_of(moved):
                place = charge.account, charge.period
                row = rows.get(place) or rows.setdefault(place, _Row(field_of(*place), len(rows)))
                tpp = charge.tpp
                if charge.state == "posted":
                    row.posted += tpp
                    charges += (row.number, tpp)
                    if moved is None:
                        row.bookings += (number, occurred_s, tpp)
                    if not charge.carried:
                        row.touched = True
                else:
                    row.reserved += tpp
                    charges += (row.number + RESERVED, tpp)
                    if moved is None:
                        row.bookings += (number + RESERVED, occurred_s, tpp)
                used = row.posted + row.reserved if reserved_counts else row.posted
                if used > row.highest:
                    row.highest = used
                elif used < row.lowest:
                    row.lowest = used
            for one in moved or ():
                _add_moved(rows, number, one)
            events.append((item.offset, charges, item.value, item.headers))
        return rows, events

    def _walk(
        self, row: "_Row", causes: Sequence[Cause], moves: Mapping[Cause, Sequence[Moved]]
    ) -> "tuple[str, list[_Told]]":
        """An account that crosses a level, event by event: the record to write and what is to be told."""
        record = self._seen[row.name]
        account, _, period = row.name.rpartition("|")
        balance = account_of(row.name, record.encode()) if record else AccountBalance(account, period)
        alerts: list[_Told] = []
        posted, reserved, marks = balance.posted_tpp, balance.reserved_tpp, balance.marks
        quiet = balance.quiet if record else LOUD
        shipped_to = balance.last_posted_at is not None
        for item in causes:
            moved = moves.get(item)
            for charge in item.charges if moved is None else _charges_of(moved):
                if (charge.account, charge.period) != (account, period):
                    continue
                if charge.state == "posted":
                    posted += charge.tpp
                else:
                    reserved += charge.tpp
                shipped_to |= not charge.carried
                if not shipped_to:
                    continue
                limits = self._measure.limits_of(charge)
                marks, crossings = settle(marks, limits, limits.used(posted, reserved), self._posted_at)
                quiet = LOUD if charge.kind == "uveu" else quiet_range(marks, limits)
                if crossings:
                    alerts += self._crossed(item, charge, crossings, limits)
        assert (posted, reserved) == (balance.posted_tpp + row.posted, balance.reserved_tpp + row.reserved)
        after = replace(
            balance,
            posted_tpp=posted,
            reserved_tpp=reserved,
            held_lines=balance.held_lines + row.held,
            last_posted_at=self._posted_at if row.touched else balance.last_posted_at,
            marks=marks,
            quiet=quiet,
        )
        return after.to_record().decode(), alerts

    def _crossed(self, item: Cause, charge: ChargeDue, crossings: Sequence[Crossing], limits: Limits) -> "list[_Told]":
        event = item.event()
        told = crossing_alerts(
            crossings,
            charge,
            event,
            limits=limits,
            tier=self._tier(event, charge),
            policy=self._rules.in_force,
            recorded_at=self._posted_at,
            measured_since=self._measure.since(charge.account, charge.period),
        )
        return [(item.offset, item.timestamp_ms, alert) for alert in told]

    def _tier(self, event: ShipmentEvent, charge: ChargeDue) -> Tier | None:
        """That of the event; of one that states no goods, that of the account's country."""
        judged = judge(event, self._policy)
        if isinstance(judged, Assessment):
            return judged.tier
        day = (event.moment or self._posted_at).date()
        return self._policy.standing(charge.country, day).tier if charge.country is not None else None

    def _notices(self, causes: Sequence[Cause]) -> "list[_Told]":
        alerts: list[_Told] = []
        for item in causes:
            if isinstance(item, Expiry):
                if item.expired_tpp:
                    policy, tier = self._rules.in_force, item.reservation.assessment.tier
                    told = expired_alert(item.event(), item.expired_tpp, tier, policy, self._posted_at)
                    alerts.append((item.offset, item.timestamp_ms, told))
            elif item.noticed:
                event = item.event()
                judged = judge(event, self._policy)
                assert isinstance(judged, Assessment)  # only statements of goods are told of
                noticed = notice_alerts(event, judged, self._policy, self._posted_at)
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


def _add_moved(rows: "dict[tuple[str, str], _Row]", number: int, moved: Moved) -> None:
    """Add the held lines and the bookings of an event that changed a family; its charges are added like any other's."""

    def row(account: str, period: str) -> _Row:
        return rows.setdefault((account, period), _Row(field_of(account, period), len(rows)))

    for account, period, lines in moved.held:
        row(account, period).held += lines
    for dated, tpp in moved.dated:
        event = number if dated.state == "posted" else number + RESERVED
        row(dated.account, dated.period).bookings += (event, bookings.seconds_of(dated.since), tpp)


_Told = tuple[int, int, QuotaAlert]
"""Offset and Kafka time (ms) of the record that gave rise to an alert, and the alert."""


@dataclass(slots=True)
class _Row:
    """One account's changes in a call: TPP in all, how low and high the use goes on the way, and each booking."""

    name: str
    number: int
    posted: int = 0
    reserved: int = 0
    held: int = 0
    lowest: int = 0
    highest: int = 0
    touched: bool = False
    bookings: list[int] = field(default_factory=list)

    def argument(self, posted_at: datetime, expected: str | None) -> list[Any]:
        latest = posted_at.isoformat() if self.touched else ""
        return [self.name, self.posted, self.reserved, self.held, self.lowest, self.highest, latest, expected, None]


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
    first = {item.key_digest: item for item in items if isinstance(item, Judged)}
    if len(first) == len(items):  # nearly every run: no event comes twice, and none is unfit
        return _Part(items[-1].offset, first, {}, [])
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


def _charges_of(moves: Iterable[Moved]) -> Iterator[ChargeDue]:
    return (charge for moved in moves for charge in moved.charges)


def _pairs(flat: Sequence[bytes]) -> "zip[tuple[bytes, bytes]]":
    return zip(flat[::2], flat[1::2], strict=True)

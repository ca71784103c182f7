"""Balances, decisions and freshness, for everybody who asks. Writes nothing."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import cast

from redis.asyncio import Redis

from ledger.book.account import AccountBalance, account_of, field_of
from ledger.book.adopted import Adopted
from ledger.book.ids import digest_of_key, place_of
from ledger.book.journal import CHUNK, JournalEvent, unpack
from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.policy import Policy
from ledger.rules.adoptions import Rulebook
from ledger.rules.assess import assess
from ledger.rules.describe import describe
from schemas.adoption import Closure
from schemas.cloudevents import read_event
from schemas.decision import Decision
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import Freshness
from schemas.shipment_event import ShipmentEvent

ENDS_TRUSTED = timedelta(seconds=10)
"""For how long the end offsets that a worker saw are good: it looks every other second."""


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event in the journal, with the entry it was posted in."""

    entry: dict[bytes, bytes]
    events_before: list[JournalEvent]
    kept: JournalEvent

    def read_event(self, source: str) -> ShipmentEvent:
        """The event itself; `source` is its own, which a bare event does not carry."""
        return read_event(self.kept.value, self.kept.headers, default_source=source)


async def read_place(redis: Redis, keys: Keys, place: bytes) -> FoundEvent:
    """Find the event that lies at a place (7 bytes: the entry's number, the index in it).

    Raises:
        LedgerUnavailable: Redis does not answer.
        LedgerError: the journal has no such entry, though an id points there.
    """
    entry = await _read_entry(redis, keys, int.from_bytes(place[:5], "big"))
    chunk, within = divmod(int.from_bytes(place[5:], "big"), CHUNK)
    before: list[JournalEvent] = []
    for earlier in range(chunk):
        before += unpack(entry[b"chunk%d" % (earlier + 1)])
    last = list(unpack(entry[b"chunk%d" % (chunk + 1)]))
    return FoundEvent(entry, before + last[:within], last[within])


async def read_kept(redis: Redis, keys: Keys, places: Iterable[bytes]) -> dict[bytes, tuple[str, JournalEvent]]:
    """The events that lie at some places, each with the SHA-256 of the policy that it was judged under.

    Entries are read once, however many of their events are asked for, and only the chunks that hold them are inflated.

    Raises:
        As `read_place`.
    """
    found: dict[bytes, tuple[str, JournalEvent]] = {}
    for number, there in groupby(sorted(places), lambda place: place[:5]):
        entry, chunks = await _read_entry(redis, keys, int.from_bytes(number, "big")), dict[int, list[JournalEvent]]()
        for place in there:
            chunk, within = divmod(int.from_bytes(place[5:], "big"), CHUNK)
            if chunk not in chunks:
                chunks[chunk] = list(unpack(entry[b"chunk%d" % (chunk + 1)]))
            found[place] = entry[b"policy"].decode(), chunks[chunk][within]
    return found


async def _read_entry(redis: Redis, keys: Keys, number: int) -> dict[bytes, bytes]:
    name = f"{number}-0"
    found = await asked(redis.xrange(keys.journal, name, name))
    if not found:
        raise LedgerError(f"the journal has no entry {name}, though an id points there: run verify")
    entry: dict[bytes, bytes] = found[0][1]
    return entry


class Reader:
    """Reads one ledger.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
        now: the clock, by which a lag is told in seconds.

    Every method raises LedgerUnavailable when Redis does not answer: an absent answer is never a zero.
    """

    def __init__(self, redis: Redis, ledger: str, *, now: Callable[[], datetime]) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._now = now
        self._adopted = Adopted(redis, ledger)

    async def rules(self) -> Rulebook | None:
        """The policies that were adopted, the newest in force; None before the first worker adopted one."""
        return await self._adopted.rules()

    async def policy(self) -> Policy | None:
        """The policy in force; None before the first worker adopted one."""
        rules = await self._adopted.rules()
        return rules.in_force if rules else None

    async def closure(self) -> Closure | None:
        """The adoption for which the ledger is closed; None while it is open."""
        return await self._adopted.closure()

    async def balances(self, period: str) -> dict[str, AccountBalance]:
        """Every account that was ever touched in a period, by its name."""
        records = await asked(self._redis.hgetall(self._keys.balances))
        found = (account_of(name, record) for name, record in records.items())
        return {balance.account: balance for balance in found if balance.period == period}

    async def balance(self, account: str, period: str) -> AccountBalance | None:
        """One account in one period; None if nothing ever touched it."""
        name = field_of(account, period)
        record = await asked(self._redis.hget(self._keys.balances, name))
        return account_of(name, record) if record is not None else None

    async def freshness(self) -> Freshness:
        """How far the ledger has read, by the end offsets that the workers saw last."""
        meta = await asked(self._redis.hgetall(self._keys.meta))
        applied_at = _moment(meta.get(b"posted_at"))
        seen_at = _moment(meta.get(b"ends_seen_at"))
        if seen_at is None:
            return Freshness(applied_at=applied_at, lag_records=None, lag_s=None)
        ends = {name[4:]: int(end) for name, end in meta.items() if name.startswith(b"end:")}
        lag = sum(max(0, end - int(meta.get(b"checkpoint:" + name, -1)) - 1) for name, end in ends.items())
        now = self._now()
        lag_s = (now - (applied_at or seen_at)).total_seconds() if lag else 0.0
        if now - seen_at > ENDS_TRUSTED:
            lag_s = max(lag_s, (now - seen_at).total_seconds())
        return Freshness(applied_at=applied_at, lag_records=lag, lag_s=max(0.0, lag_s))

    async def stopped_workers(self) -> list[str]:
        """Why a worker stays out of the group, for every partition it gave up at its present checkpoint."""
        meta = await asked(self._redis.hgetall(self._keys.meta))
        return [reason.decode() for name, reason in sorted(meta.items()) if name.startswith(b"stopped:")]

    async def decision(self, source: str, event_id: str) -> Decision | None:
        """What became of an event; None if it was not seen (yet).

        Args:
            source: the event's source.
            event_id: its id under that source.
        """
        digest = digest_of_key(source, event_id)
        value = await asked(self._redis.hget(self._keys.ids, cast("str", digest)))
        if value is None:
            return None
        found = await read_place(self._redis, self._keys, place_of(value))
        event = found.read_event(source)
        rules = await self.rules()
        if rules is None:
            raise LedgerUnavailable("Redis was emptied just now: ask again")
        policy = rules.policy(found.entry[b"policy"].decode())
        assessment = assess(event, policy)
        alerts = [
            QuotaAlert.model_validate_json(line.split(b" ", 1)[1])
            for line in found.entry.get(b"alerts", b"").splitlines()
        ]
        return describe(
            event,
            assessment,
            policy,
            outcome="held" if assessment.held else "noted" if assessment.noted else "applied",
            balances=_balances_before(found),
            alerts=[alert for alert in alerts if alert.event_key == event.key],
            recorded_at=datetime.fromisoformat(found.entry[b"posted_at"].decode()).astimezone(UTC),
        )


def _moment(text: bytes | None) -> datetime | None:
    return datetime.fromisoformat(text.decode()) if text else None


def _balances_before(found: FoundEvent) -> dict[tuple[str, str], int]:
    """Account and period -> the use in TPP just before this event, from the entry's start and the events between."""
    accounts: list[list[str]] = json.loads(found.entry[b"before"])
    used = [int(posted) for _, posted, _ in accounts]
    for earlier in found.events_before:
        for number, tpp in earlier.charges:
            used[number] += tpp
    before = {}
    for (name, _, _), tpp in zip(accounts, used, strict=True):
        account, _, period = name.rpartition("|")
        before[account, period] = tpp
    return before

"""Redis as an auditor reads it: everything a ledger keeps, as of one moment, in pieces of bounded size. Writes nothing.

The moment is the `Cut`: checkpoints, balances and what waits, read in one transaction. What is read after it may hold
more, and says by the number of its journal entry that it is newer.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

from ledger.book.account import AccountBalance, account_of
from ledger.book.bookings import RESERVED, columns, entry_of
from ledger.book.family import VERSION_SIZE
from ledger.book.ids import AWAITED, content_of, place_of
from ledger.book.journal import JournalEvent, inflated, unpack
from ledger.book.keys import Keys
from ledger.book.place import read_place
from ledger.book.script import asked
from ledger.book.today import read_day
from ledger.digests import digest_as_kin, digest_of_key
from schemas.cloudevents import read_event
from schemas.rejected_record import RejectedRecord

AT_ONCE = 1000
"""Elements that are read with one call."""

ENTRIES_AT_ONCE = 20
"""Journal entries that are read with one call: each holds up to a thousand events."""

_Amounts = tuple[int, int]
"""TPP posted and reserved."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A ledger at one moment.

    Attributes:
        checkpoints: `<topic>:<number>` -> the last settled offset.
        tick: the minute up to which time has passed; -1 before the first.
        today: the ledger's day, by whose caps accounts are measured.
        adoption: the number of the newest adoption, by whose policy they are.
        entries: the journal's last number.
        last_entry: what the journal's last entry is called in fact; None if it has none.
        last_alert: the same of the feed.
        balances: every account in every period.
        unreadable: fields of balances that are none.
        waits: by the digest of its key, what is kept of each event that waits.
        expiries: by the digest of its key, the millisecond at which a reservation is to expire.
    """

    checkpoints: Mapping[str, int]
    tick: int
    today: date
    adoption: int
    entries: int
    last_entry: str | None
    last_alert: str | None
    balances: Mapping[str, AccountBalance]
    unreadable: Sequence[str]
    waits: Mapping[bytes, tuple[str, str, str]]
    expiries: Mapping[bytes, float]


class KnownId(NamedTuple):
    """What is remembered of an event.

    Attributes:
        content_digest: None if the event is only awaited.
        entry: the number of its journal entry, 0 if it is only awaited.
    """

    content_digest: bytes | None
    entry: int
    place: bytes


@dataclass(slots=True)
class Booked:
    """What the journal and its index book on an account: TPP posted and reserved, each.

    Attributes:
        breaks: the first entry that states another balance before it than the entries before come to.
    """

    journal: _Amounts = (0, 0)
    index: _Amounts = (0, 0)
    breaks: int | None = None


class Audit:
    """One ledger. Every method raises LedgerUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)

    async def cut(self) -> Cut:
        """The ledger as it is now, in one transaction: it takes time with accounts, and with what waits and expires."""
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as together:
            together.hgetall(keys.meta)
            together.hgetall(keys.balances)
            together.hgetall(keys.waits)
            together.zrange(keys.expiries, 0, -1, withscores=True)
            together.xrevrange(keys.journal, count=1)
            together.xrevrange(keys.alerts, count=1)
            meta, balances, waits, expiries, last, last_alert = await asked(together.execute())
        places = {name[11:].decode(): int(value) for name, value in meta.items() if name.startswith(b"checkpoint:")}
        read = {name.decode(): _balance(name, record) for name, record in balances.items()}
        return Cut(
            tick=places.pop("tick", -1),
            today=read_day(meta.get(b"today")),
            adoption=int(meta.get(b"adoption", 0)),
            checkpoints=places,
            entries=int(meta.get(b"entries", 0)),
            last_entry=last[0][0].decode() if last else None,
            last_alert=last_alert[0][0].decode() if last_alert else None,
            balances={name: balance for name, balance in read.items() if balance is not None},
            unreadable=[name for name, balance in read.items() if balance is None],
            waits={_key(name): _wait(text) for name, text in waits.items()},
            expiries={_key(name): score for name, score in expiries},
        )

    async def originals(self) -> set[bytes]:
        """Digests of the keys of all events that others name, as far as families are kept of them now."""
        found: set[bytes] = set()
        async for part in self._scanned(self._keys.families):
            found.update(part)
        return found

    async def ids(self) -> AsyncIterator[dict[bytes, KnownId]]:
        """Every id, some perhaps twice."""
        async for part in self._scanned(self._keys.ids):
            yield {key: _known(value) for key, value in part.items()}

    async def known(self, keys: Sequence[bytes]) -> list[KnownId | None]:
        """What is remembered of the events of these keys' digests."""
        values = await asked(self._redis.hmget(self._keys.ids, cast("list[str]", keys)))
        return [_known(value) if value is not None else None for value in values]

    async def record_of(self, known: KnownId) -> tuple[str, int]:
        """The partition and offset of the record that was applied.

        Raises:
            LedgerError: the journal has no such entry.
        """
        found = await read_place(self._redis, self._keys, known.place)
        return found.entry[b"partition"].decode(), found.kept.offset

    async def families(self, originals: Sequence[bytes]) -> list[dict[bytes, bytes] | None]:
        """Of each family, by the digests of its events' keys, what is kept of each as `digest_as_kin` has it.

        None if there is no such family, or it is no longer whole.
        """
        records = await asked(self._redis.hmget(self._keys.families, cast("list[str]", originals)))
        return [None if record is None else _members(record) for record in records]

    async def booked(self, cut: Cut) -> tuple[dict[str, Booked], list[str]]:
        """What is booked on each account up to the cut, and in words which entries are not where they are to be."""
        found: dict[str, Booked] = {}
        wrong: list[str] = []
        expected, after = 1, "-"
        while entries := await asked(self._redis.xrange(self._keys.journal, after, f"{cut.entries}", ENTRIES_AT_ONCE)):
            for name, entry in entries:
                if name != b"%d-0" % expected:
                    wrong.append(f"{expected}-0 is due, and {name.decode()} stands there")
                expected = int(name.partition(b"-")[0]) + 1
                _add_up(found, expected - 1, entry)
            after = f"({entries[-1][0].decode()}"
        if expected != cut.entries + 1 or cut.last_entry not in (None, f"{cut.entries}-0"):
            wrong.append(f"{cut.entries}-0 is to be the last; it is {cut.last_entry or 'gone'}")
        for field in {*cut.balances, *found}:
            found.setdefault(field, Booked()).index = await self._indexed(field, cut.entries)
        return found, wrong

    async def _indexed(self, field: str, entries: int) -> _Amounts:
        posted = reserved = at = 0
        key = self._keys.bookings(field)
        while elements := await asked(self._redis.lrange(key, at, at + AT_ONCE - 1)):
            for element in elements:
                if entry_of(element) > entries:
                    return posted, reserved
                for event, _, tpp in columns(element):
                    posted, reserved = (posted, reserved + tpp) if event >= RESERVED else (posted + tpp, reserved)
            at += len(elements)
        return posted, reserved

    async def alerts(self, first: int, last: int) -> dict[int, bytes]:
        """The alerts of the feed whose records lie between two offsets of their topic, by offset."""
        entries = await asked(self._redis.xrange(self._keys.alerts, f"{first + 1}-0", f"{last + 1}-0"))
        return {int(name.partition(b"-")[0]) - 1: fields[b"alert"] for name, fields in entries}

    async def alerts_behind(self, offset: int, last: str | None) -> list[str]:
        """What the feed's entries are called that follow the alert of an offset, up to the one called `last`."""
        if last is None:
            return []
        behind = self._redis.xrange(self._keys.alerts, f"({offset + 1}-0", last)
        return [name.decode() for name, _ in await asked(behind)]

    async def _scanned(self, key: str) -> AsyncIterator[dict[bytes, bytes]]:
        cursor = 0
        while True:
            cursor, part = await asked(self._redis.hscan(key, cursor, count=AT_ONCE))
            yield part
            if not cursor:
                return


def _balance(name: bytes, record: bytes) -> AccountBalance | None:
    """An account's record; None if it is none, as after a careless edit."""
    try:
        return account_of(name, record)
    except (ValueError, TypeError, AttributeError):
        return None


def _key(name: bytes) -> bytes:
    """A key's digest from its hex; of what is none, itself, which no event has."""
    try:
        return bytes.fromhex(name.decode())
    except ValueError:
        return name


def _wait(text: bytes) -> tuple[str, str, str]:
    """What is kept of an event that waits; of what is none, a word for it."""
    try:
        source, event_id, why = json.loads(text)
    except (ValueError, TypeError):
        return "", "", "unreadable"
    return source, event_id, why


def _known(value: bytes) -> KnownId:
    if value == AWAITED:
        return KnownId(None, 0, b"")
    place = place_of(value)
    return KnownId(content_of(value), int.from_bytes(place[:5], "big"), place)


def _members(record: bytes) -> dict[bytes, bytes] | None:
    said = inflated(record[VERSION_SIZE:])
    if sha256(said).digest()[:VERSION_SIZE] != record[:VERSION_SIZE]:
        return None
    found = {}
    try:
        for policy, source, value, headers in json.loads(said)["kin"]:
            told = [(name, text.encode("latin-1")) for name, text in headers]
            event = read_event(value.encode(), told, default_source=source)
            found[digest_of_key(event.source, event.id)] = digest_as_kin(event.content(), policy)
    except RejectedRecord:
        return None
    return found


def _add_up(found: dict[str, Booked], number: int, entry: Mapping[bytes, bytes]) -> None:
    """Add one journal entry."""
    accounts: Sequence[Sequence[Any]] = json.loads(entry[b"before"])
    sums = [[0, 0] for _ in accounts]
    for event in _events(entry):
        for account, tpp in event.charges:
            sums[account % RESERVED][account >= RESERVED] += tpp
    for (field, posted, reserved), (more_posted, more_reserved) in zip(accounts, sums, strict=True):
        booked = found.setdefault(field, Booked())
        if booked.journal != (int(posted), int(reserved)) and booked.breaks is None:
            booked.breaks = number
        booked.journal = booked.journal[0] + more_posted, booked.journal[1] + more_reserved


def _events(entry: Mapping[bytes, bytes]) -> Iterable[JournalEvent]:
    number = 1
    while (chunk := entry.get(b"chunk%d" % number)) is not None:
        yield from unpack(chunk)
        number += 1

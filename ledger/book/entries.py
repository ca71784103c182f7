"""An account's entries, and its balance at a moment of the past. Writes nothing.

A past balance is summed up from the account's list of bookings (`bookings.py`), and no event is read for it.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from redis.asyncio import Redis

from ledger.book.account import field_of
from ledger.book.bookings import RESERVED, Booked, columns, entry_of, seconds_of, unpack
from ledger.book.journal import CHUNK, JournalEvent
from ledger.book.journal import unpack as unpack_chunk
from ledger.book.keys import Keys
from ledger.book.position import TICK
from ledger.book.script import asked
from ledger.errors import LedgerError, WrongCursor
from schemas.cloudevents import read_event
from schemas.decision import ChargeState
from schemas.entry import Cause, Entry

SCAN = 1000
"""Elements of a list read from Redis at a time."""

ENTRIES_AT_ONCE = 20
"""Journal entries read at a time: each may hold a megabyte of events."""

CURSOR_DIGITS_MAX = 15

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

JournalEntry = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class PastBalance:
    """What an account held at a moment, in TPP. What else a present balance tells is not kept of the past."""

    posted_tpp: int
    reserved_tpp: int
    held_lines: None = None
    last_posted_at: None = None
    crossed: None = None


class _Place(NamedTuple):
    """One booking: the number of its element in the list, and its own in the element. The first ones have 0."""

    element: int
    booking: int


class Entries:
    """The entries of one ledger's accounts.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.

    Every method raises LedgerUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)

    async def balance(
        self, account: str, period: str, *, as_of: datetime | None = None, known_at: datetime | None = None
    ) -> PastBalance:
        """What an account held.

        With `known_at` alone it costs two binary searches, over the journal and the account's list. With `as_of` every
        booking is looked at: 100,000 took a tenth of a second in runs of 1,000, and more than one in runs of their own.

        Args:
            account: such as `country:IN`.
            period: such as `2026`.
            as_of: count what occurred up to that moment, by what the events say, to the second; None counts all.
            known_at: count what was posted up to that moment, by the clocks of the workers that posted it.
        """
        name = field_of(account, period)
        bookings = self._keys.bookings(name)
        count = await asked(self._redis.llen(bookings))
        if known_at is not None:
            last = await self._last_entry(known_at)

            async def is_later(element: int) -> bool:
                return entry_of(await asked(self._redis.lindex(bookings, element))) > last

            count = await _first(count, is_later)
        if as_of is not None:
            return await self._summed(bookings, count, seconds_of(as_of))
        if count == 0:
            return PastBalance(0, 0)
        booked = unpack(await asked(self._redis.lindex(bookings, count - 1)))
        [journal] = await self._journal([booked.entry])
        held = _before(journal, name)
        for booking in booked.bookings:
            held[_state(reserved=booking.reserved)] += booking.tpp
        return PastBalance(held["posted"], held["reserved"])

    async def page(
        self,
        account: str,
        period: str,
        *,
        newest_first: bool,
        after: str | None = None,
        count: int,
        policy_ids: Mapping[str, str],
    ) -> tuple[list[Entry], str | None]:
        """One page of an account's entries, in the order in which they were posted, or against it.

        Args:
            account: such as `country:IN`.
            period: such as `2026`.
            newest_first: against it.
            after: the `next` of the page before; None for the first.
            count: entries at most.
            policy_ids: SHA-256 -> id, of every adopted policy.

        Returns:
            The entries, and the cursor of the next page, None when there is none yet.

        Raises:
            WrongCursor: the cursor is none of ours.
        """
        name = field_of(account, period)
        begin = last = _place(after) if after is not None else None
        chosen: list[tuple[Booked, list[int]]] = []
        room, more = count, False
        async for number, booked in self._elements(self._keys.bookings(name), begin, newest_first=newest_first):
            coming = _coming(number, booked, begin, newest_first=newest_first)
            more = len(coming) > room
            if some := coming[:room]:
                chosen.append((booked, [place.booking for place in some]))
                last, room = some[-1], room - len(some)
            if more:
                break
        entries = await self._tell(name, chosen, policy_ids)
        return entries, f"{last.element}-{last.booking}" if more and last else None

    async def _tell(
        self, name: str, chosen: Sequence[tuple[Booked, Sequence[int]]], policy_ids: Mapping[str, str]
    ) -> list[Entry]:
        """The entries of these bookings: of each journal entry those with these numbers, in their order."""
        entries: list[Entry] = []
        for start in range(0, len(chosen), ENTRIES_AT_ONCE):
            some = chosen[start : start + ENTRIES_AT_ONCE]
            journals = await self._journal([booked.entry for booked, _ in some])
            for (booked, numbers), journal in zip(some, journals, strict=True):
                read = dict(_entries(name, booked, journal, set(numbers), policy_ids))
                entries += [read[number] for number in numbers]
        return entries

    async def _elements(
        self, bookings: str, begin: _Place | None, *, newest_first: bool
    ) -> AsyncIterator[tuple[int, Booked]]:
        """The elements of a list with their numbers, from that of a booking on, if one is named."""
        if not newest_first:
            first = begin.element if begin else 0
            while elements := await asked(self._redis.lrange(bookings, first, first + SCAN - 1)):
                for number, element in enumerate(elements, first):
                    yield number, unpack(element)
                first += len(elements)
            return
        end = await asked(self._redis.llen(bookings))
        if begin is not None:
            end = min(end, begin.element + 1)
        while end > 0:
            first = max(0, end - SCAN)
            elements = await asked(self._redis.lrange(bookings, first, end - 1))
            for number, element in reversed([*enumerate(elements, first)]):
                yield number, unpack(element)
            end = first

    async def _summed(self, bookings: str, count: int, until_s: int) -> PastBalance:
        posted = reserved = 0
        for first in range(0, count, SCAN):
            for element in await asked(self._redis.lrange(bookings, first, min(first + SCAN, count) - 1)):
                for event, since_s, tpp in columns(element):
                    if since_s > until_s:
                        continue
                    if event < RESERVED:
                        posted += tpp
                    else:
                        reserved += tpp
        return PastBalance(posted, reserved)

    async def _last_entry(self, known_at: datetime) -> int:
        """The number of the last journal entry that was posted by then, 0 if none was."""
        count = int(await asked(self._redis.hget(self._keys.meta, "entries")) or 0)

        async def is_later(number: int) -> bool:
            [journal] = await self._journal([number + 1])
            return _posted_at(journal) > known_at

        return await _first(count, is_later)

    async def _journal(self, numbers: Iterable[int]) -> list[JournalEntry]:
        names = [f"{number}-0" for number in numbers]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.xrange(self._keys.journal, name, name)
            answers = await asked(pipeline.execute())
        for name, found in zip(names, answers, strict=True):
            if not found:
                raise LedgerError(f"the journal has no entry {name}, though an account names it: run verify")
        return [found[0][1] for found in answers]


def _entries(
    name: str, booked: Booked, journal: JournalEntry, wanted: set[int], policy_ids: Mapping[str, str]
) -> Iterator[tuple[int, Entry]]:
    """The wanted entries of an account in one journal entry, with their numbers there."""
    account, _, period = name.rpartition("|")
    held, chunks = _before(journal, name), dict[int, list[JournalEvent]]()
    partition, sha256 = journal[b"partition"].decode(), journal[b"policy"].decode()
    topic, _, number = partition.rpartition(":")
    for own, booking in enumerate(booked.bookings):
        state = _state(reserved=booking.reserved)
        before = held[state]
        held[state] += booking.tpp
        if own not in wanted:
            continue
        chunk, place = divmod(booking.event, CHUNK)
        if chunk not in chunks:
            chunks[chunk] = list(unpack_chunk(journal[b"chunk%d" % (chunk + 1)]))
        kept = chunks[chunk][place]
        event_key, cause, shipment_id = _cause(kept, topic)
        yield (
            own,
            Entry(
                account=account,
                period=period,
                state=state,
                event_key=event_key,
                cause=cause,
                shipment_id=shipment_id,
                tpp=booking.tpp,
                before_tpp=before,
                after_tpp=held[state],
                occurred_at=_EPOCH + timedelta(seconds=booking.since_s),
                recorded_at=_posted_at(journal),
                policy_id=policy_ids[sha256],
                policy_sha256=sha256,
                topic=topic or None,
                partition=int(number) if topic else None,
                offset=kept.offset if topic else None,
                entry=booked.entry,
            ),
        )


def _cause(kept: JournalEvent, topic: str) -> tuple[str, Cause, str | None]:
    """Event key, type and shipment of what the journal keeps; a tick, which is of no topic, names a reservation."""
    if not topic:
        source, event_id = json.loads(kept.value)["expired"]
        return f"{source}#{event_id}", TICK, None
    event = read_event(kept.value, kept.headers, default_source=f"/kafka/{topic}")
    return event.key, event.type, event.data.get("shipment_id")


def _before(journal: JournalEntry, name: str) -> dict[ChargeState, int]:
    """What the account held before the entry, in TPP."""
    for account, posted, reserved in json.loads(journal[b"before"]):
        if account == name:
            return {"posted": int(posted), "reserved": int(reserved)}
    raise LedgerError(f"a journal entry does not tell of {name}, though that names it: run verify")


def _state(*, reserved: bool) -> ChargeState:
    return "reserved" if reserved else "posted"


def _posted_at(journal: JournalEntry) -> datetime:
    return datetime.fromisoformat(journal[b"posted_at"].decode())


async def _first(count: int, holds: Callable[[int], Awaitable[bool]]) -> int:
    """The first number for which something holds that holds for all after it; `count` if for none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if await holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _coming(number: int, booked: Booked, begin: _Place | None, *, newest_first: bool) -> list[_Place]:
    """The bookings of an element in the order in which they are told, those after the cursor's."""
    places = [_Place(number, own) for own in range(len(booked.bookings))]
    if newest_first:
        return [place for place in reversed(places) if begin is None or place < begin]
    return [place for place in places if begin is None or place > begin]


def _place(cursor: str) -> _Place:
    element, dash, booking = cursor.partition("-")
    for number in (element, booking):
        if not (dash and number.isascii() and number.isdigit() and len(number) <= CURSOR_DIGITS_MAX):
            raise WrongCursor
    return _Place(int(element), int(booking))

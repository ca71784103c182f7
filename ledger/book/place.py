"""Where the journal keeps an event, and what stands there. Writes nothing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import cast

from redis.asyncio import Redis

from ledger.book.bookings import RESERVED
from ledger.book.ids import AWAITED, place_of
from ledger.book.journal import CHUNK, JournalEvent, unpack
from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.digests import digest_of_key
from ledger.errors import LedgerError
from ledger.rules.follower import EventKey
from schemas.cloudevents import read_event
from schemas.decision import ChargeState
from schemas.shipment_event import ShipmentEvent


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event in the journal, with the entry it was posted in."""

    entry: dict[bytes, bytes]
    events_before: list[JournalEvent]
    kept: JournalEvent

    def read_event(self, source: str) -> ShipmentEvent:
        """The event itself; `source` is its own, which a bare event does not carry."""
        return read_event(self.kept.value, self.kept.headers, default_source=source)

    @property
    def policy(self) -> str:
        """The SHA-256 of the policy that the event was judged under."""
        return self.entry[b"policy"].decode()

    def changes(self) -> "list[tuple[str, str, ChargeState, int]]":
        """What the event's booking changed: account, period, state, TPP."""
        accounts = self._accounts()
        return [
            (*_place_of(accounts[number % RESERVED][0]), _state_of(number), tpp) for number, tpp in self.kept.charges
        ]

    def balances_before(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Account and period -> TPP posted and reserved just before this event."""
        accounts = self._accounts()
        now = {"posted": [int(posted) for _, posted, _ in accounts], "reserved": [int(held) for _, _, held in accounts]}
        for earlier in self.events_before:
            for number, tpp in earlier.charges:
                now[_state_of(number)][number % RESERVED] += tpp
        return {
            _place_of(name): amounts
            for (name, _, _), amounts in zip(accounts, zip(now["posted"], now["reserved"], strict=True), strict=True)
        }

    def _accounts(self) -> list[list[str]]:
        """Field of the balances, TPP posted and reserved before the entry, in the order in which charges count them."""
        accounts: list[list[str]] = json.loads(self.entry[b"before"])
        return accounts


async def find_event(redis: Redis, keys: Keys, key: EventKey) -> FoundEvent | None:
    """Find an event by its key; None if it did not come yet.

    Raises:
        LedgerUnavailable, LedgerError: as `read_place`.
    """
    value = await asked(redis.hget(keys.ids, cast("str", digest_of_key(*key))))
    return None if value is None or value == AWAITED else await read_place(redis, keys, place_of(value))


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


def _place_of(field: str) -> tuple[str, str]:
    account, _, period = field.rpartition("|")
    return account, period


def _state_of(number: int) -> ChargeState:
    return "posted" if number < RESERVED else "reserved"

"""What was booked on accounts day by day, summed up from their lists of bookings (`bookings.py`). Writes nothing.

Every booking is read once: what is summed up is kept, and the next question reads on behind it. That the sums agree
with the balance of the same moment shows that the list is still the one that was read; else it is read anew.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from redis.asyncio import Redis

from ledger.book.account import AccountBalance, account_of, field_of
from ledger.book.bookings import RESERVED, columns
from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.rules.forecast import BookedByDay

SCAN = 1000
"""Elements of a list read from Redis at a time."""

_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class _Read:
    """An account's list as far as it was read.

    Attributes:
        elements: how many of the list.
        balance: as it was when the last of them was read; None if nothing ever touched the account.
        by_day: their sums.
    """

    elements: int = 0
    balance: AccountBalance | None = None
    by_day: BookedByDay = field(default_factory=lambda: BookedByDay({}, {}))

    @property
    def agrees(self) -> bool:
        held = (self.balance.posted_tpp, self.balance.reserved_tpp) if self.balance else (0, 0)
        return held == (sum(self.by_day.posted.values()), sum(self.by_day.reserved.values()))


class DailyBookings:
    """The bookings of one ledger by day.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._kept: dict[str, _Read] = {}
        self._reading = asyncio.Lock()

    async def of(self, balances: Collection[AccountBalance]) -> dict[str, BookedByDay]:
        """What was booked on each of these accounts of one period, by its name, up to this balance or a later one.

        Costs what was booked since the question before.

        Raises:
            LedgerUnavailable: Redis does not answer.
        """
        names = {field_of(balance.account, balance.period): balance for balance in balances}
        async with self._reading:  # for all who ask meanwhile
            reads = await self._up_to_date(names)
        return {balance.account: reads[name].by_day for name, balance in names.items()}

    async def _up_to_date(self, names: Mapping[str, AccountBalance]) -> dict[str, _Read]:
        """The lists of these accounts, by the names of their fields, read as far as their balances go."""
        reads = {name: self._kept.get(name, _Read()) for name in names}
        behind = {name: reads[name] for name, balance in names.items() if reads[name].balance != balance}
        reads |= await self._read_on(behind)
        replaced = [name for name in behind if not reads[name].agrees]
        reads |= await self._read_on(dict.fromkeys(replaced, _Read()))
        self._kept |= reads
        return reads

    async def _read_on(self, reads: Mapping[str, _Read]) -> dict[str, _Read]:
        """The same lists, read to their ends, each together with its balance of that moment."""
        done: dict[str, _Read] = {}
        while reads:
            async with self._redis.pipeline(transaction=True) as pipeline:
                for name, read in reads.items():
                    pipeline.hget(self._keys.balances, name)
                    pipeline.lrange(self._keys.bookings(name), read.elements, read.elements + SCAN - 1)
                answers = await asked(pipeline.execute())
            found = dict(zip(reads, zip(answers[::2], answers[1::2], strict=True), strict=True))
            done |= await asyncio.to_thread(_read_further, reads, found)
            reads = {name: done[name] for name, (_, elements) in found.items() if len(elements) == SCAN}
        return done


def _read_further(
    reads: Mapping[str, _Read], found: Mapping[str, tuple[bytes | None, Sequence[bytes]]]
) -> dict[str, _Read]:
    """Each list with its balance's record, and the elements that come behind those that were read."""
    further = {}
    for name, (record, elements) in found.items():
        read = reads[name]
        posted, reserved = Counter(read.by_day.posted), Counter(read.by_day.reserved)
        for element in elements:
            for event, since_s, tpp in columns(element):
                (posted if event < RESERVED else reserved)[since_s // _DAY_S + _EPOCH] += tpp
        balance = account_of(name, record) if record is not None else None
        further[name] = _Read(read.elements + len(elements), balance, BookedByDay(posted, reserved))
    return further

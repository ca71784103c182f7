"""What is kept of an account's bookings beside the journal: a list in Redis by which they are found and summed up.

One element for each journal entry that moves the account: the entry's number (5 bytes, which the script writes before
the rest), and of each booking which event of the entry made it, from when on it counts, and the TPP, column by column.
So a balance of the past is summed up from these elements alone: about 15 bytes a booking, and no event is read.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

RESERVED = 1 << 15
"""Added to the number of an event, or of an account in the journal, whose amount is reserved and not posted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = 5
_NARROW, _WIDE = b"i", b"q"


class Booking(NamedTuple):
    """One amount on one account.

    Attributes:
        event: number of the event in its journal entry.
        since_s: from when on it counts, in seconds since 1970, by what the events say.
    """

    event: int
    reserved: bool
    since_s: int
    tpp: int


class Booked(NamedTuple):
    """What one journal entry books on one account, in the order of its events."""

    entry: int
    bookings: Sequence[Booking]


def seconds_of(moment: datetime) -> int:
    """A moment as bookings know it: whole seconds since 1970, what is beyond them cut off."""
    since = moment - _EPOCH
    return since.days * 86_400 + since.seconds


def pack(flat: Sequence[int]) -> bytes:
    """The bookings of one account in one call: event (with `RESERVED`), second and TPP of each, one after another."""
    count, columns = len(flat) // 3, (*flat[::3], *flat[1::3], *flat[2::3])
    try:
        return _NARROW + struct.pack(f">{count}H{2 * count}i", *columns)
    except struct.error:  # a shipment after 2038, or very many chips
        return _WIDE + struct.pack(f">{count}H{2 * count}q", *columns)


def entry_of(element: bytes) -> int:
    """The number of the journal entry that an element is of."""
    return int.from_bytes(element[:_NUMBER], "big")


def columns(element: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each booking of an element its event (with `RESERVED`), second and TPP: the inverse of `pack`."""
    wide = element[_NUMBER] == _WIDE[0]
    count = (len(element) - _NUMBER - 1) // (18 if wide else 10)
    found = struct.unpack_from(f">{count}H{2 * count}{'q' if wide else 'i'}", element, _NUMBER + 1)
    return zip(found[:count], found[count : 2 * count], found[2 * count :], strict=True)


def unpack(element: bytes) -> Booked:
    """An element of the list: what the script wrote before `pack`, and that."""
    bookings = [Booking(event & ~RESERVED, event >= RESERVED, since_s, tpp) for event, since_s, tpp in columns(element)]
    return Booked(entry_of(element), bookings)

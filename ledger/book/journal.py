"""A journal entry's events, packed: what each said, as it came, and what it charged.

An entry holds the events of one posted run in chunks of at most `CHUNK` (so that finding one event inflates little).
A chunk is deflated with a preset dictionary, which makes even a run of one event small.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, islice
from operator import sub
from typing import NamedTuple

from isal import isal_zlib

CHUNK = 100
"""Events in a chunk: finding one of 1,000 in a single chunk took three times as long."""

_LEVEL = 2
"""The size of zlib's first level in a third of its time."""

_HEAD = struct.Struct(">QHH6s")
"""A chunk's first offset, how many events and charges it holds, and the width of each column as `struct` has it."""

_WIDTHS = tuple((code, 1 << bits) for code, bits in (("b", 7), ("h", 15), ("i", 31), ("q", 63)))

_DICTIONARY = (
    b'{"specversion": "1.0", "id": "", "source": "/logistics/", "type": "shipment.shipped", "time": "2026-01-01T00:00:'
    b'00Z", "datacontenttype": "application/json", "data": {"shipment_id": "S-", "shipped_at": "2026-01-01T00:00:00Z", '
    b'"origin": "US", "destination": "", "exporter": {"name": "", "country": "US"}, "consignee": {"name": "", "country"'
    b': "", "headquarters": "", "id": "lei:", "role": "end_user", "ultimate_parent": {"name": "", "country": "", "id": '
    b'"lei:"}}, "bill_to": {"name": "", "country": ""}, "authorization": {"kind": "license", "number": "D", "holdings_t'
    b'pp": null}, "lines": [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 64, "description": "", "part_number":'
    b' null, "sku": null, "declared_as": null, "eccn": null, "tpp_each": null}], "end_use": {"purpose": "training", "mo'
    b'del": "", "model_developer_country": "", "site": ""}}}'
)
"""Never to be changed: entries were written with it. Another one needs another chunk format beside this."""


class JournalEvent(NamedTuple):
    """One event as the journal keeps it.

    Attributes:
        offset: where its record lies on its partition.
        charges: (number of the account in the entry's list, TPP); `bookings.RESERVED` is added to the number of a
            charge that changes the reserved amount.
        value: the record's value, as it came.
        headers: those that belong to the event: of binary mode, or a bare event's `source`, without which it is the
            topic's.
    """

    offset: int
    charges: Sequence[tuple[int, int]]
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


Kept = tuple[int, Sequence[int], bytes, tuple[tuple[str, bytes], ...]]
"""The fields of a `JournalEvent`, as they are written: a run has a thousand of them, and names cost. The charges are
account and TPP of each, one after another."""


def pack(events: Sequence[Kept]) -> list[bytes]:
    """The chunks of an entry, in order. They are read by any zlib."""
    return [deflated(_text(events[start : start + CHUNK])) for start in range(0, len(events), CHUNK)]


def _text(events: Sequence[Kept]) -> bytes:
    """A chunk's events column by column, which deflates to less than one event after another would."""
    offsets, charges, values, headers = zip(*events, strict=True)
    told = [_packed_headers(some) if some else b"" for some in headers]
    charged = [*chain.from_iterable(charges)]
    numbers = (
        [*map(sub, offsets, (offsets[0], *offsets))],
        [*map(len, charges)],
        [*map(len, told)],
        [*map(len, values)],
        charged[::2],
        charged[1::2],
    )
    codes = "".join(map(_narrowest, numbers)).encode()
    count, charge_count = len(offsets), len(charged) // 2
    packed = _columns(codes, count, charge_count).pack(*chain.from_iterable(numbers))
    return b"".join((_HEAD.pack(offsets[0], count, charge_count, codes), packed, *told, *values))


def _narrowest(numbers: Sequence[int]) -> str:
    """The code of `struct` for the narrowest integer that holds all of them."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    return next(code for code, limit in _WIDTHS if -limit <= low and high < limit)


@lru_cache(maxsize=1024)
def _columns(codes: bytes, count: int, charge_count: int) -> struct.Struct:
    """The numbers of a chunk.

    Of each event its distance from the one before, how many numbers its charges have, the sizes of its headers and its
    value; then the account of each charge, and the TPP of each.
    """
    lengths = (count, count, count, count, charge_count, charge_count)
    return struct.Struct(">" + "".join(f"{length}{code:c}" for length, code in zip(lengths, codes, strict=True)))


def deflated(text: bytes) -> bytes:
    """Deflated with the dictionary of events."""
    deflate = isal_zlib.compressobj(_LEVEL, zdict=_DICTIONARY)
    packed: bytes = deflate.compress(text) + deflate.flush()
    return packed


def inflated(packed: bytes) -> bytes:
    """The inverse of `deflated`."""
    text: bytes = isal_zlib.decompressobj(zdict=_DICTIONARY).decompress(packed)
    return text


def _packed_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    return json.dumps([[name, value.decode("latin-1")] for name, value in headers]).encode()


def unpack(chunk: bytes) -> Iterator[JournalEvent]:
    """The events of one chunk; the inverse of `pack`."""
    packed = inflated(chunk)
    first, count, charge_count, codes = _HEAD.unpack_from(packed)
    columns = _columns(codes, count, charge_count)
    numbers = iter(columns.unpack_from(packed, _HEAD.size))
    gaps, charged, told_sizes, value_sizes = (tuple(islice(numbers, count)) for _ in range(4))
    charges = zip(tuple(islice(numbers, charge_count)), numbers, strict=True)
    told_at = _HEAD.size + columns.size
    value_at = told_at + sum(told_sizes)
    offsets = accumulate((first + gaps[0], *gaps[1:]))
    for offset, some, told_size, value_size in zip(offsets, charged, told_sizes, value_sizes, strict=True):
        headers = json.loads(packed[told_at : told_at + told_size]) if told_size else ()
        yield JournalEvent(
            offset,
            tuple(islice(charges, some // 2)),
            packed[value_at : value_at + value_size],
            tuple((name, value.encode("latin-1")) for name, value in headers),
        )
        told_at += told_size
        value_at += value_size

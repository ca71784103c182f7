"""A journal entry's events, packed: what each said, as it came, and what it charged.

An entry holds the events of one posted run in chunks of at most `CHUNK` (so that finding one event inflates little).
A chunk is deflated with a preset dictionary, which makes even a run of one event small.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isal import isal_zlib

CHUNK = 100
"""Events in a chunk: finding one of 1,000 in a single chunk took three times as long."""

_LEVEL = 2
"""The size of zlib's first level in a third of its time."""

_HEAD = struct.Struct(">QBII")
_CHARGE = struct.Struct(">Hq")

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


Kept = tuple[int, Sequence[tuple[int, int]], bytes, tuple[tuple[str, bytes], ...]]
"""The fields of a `JournalEvent`, as they are written: a run has a thousand of them, and names cost."""


def pack(events: Sequence[Kept]) -> list[bytes]:
    """The chunks of an entry, in order. They are read by any zlib."""
    chunks = []
    for start in range(0, len(events), CHUNK):
        parts: list[bytes] = []
        for offset, charges, value, headers in events[start : start + CHUNK]:
            told = _packed_headers(headers) if headers else b""
            parts.append(_HEAD.pack(offset, len(charges), len(told), len(value)))
            for account, tpp in charges:
                parts.append(_CHARGE.pack(account, tpp))
            parts += (told, value)
        chunks.append(deflated(b"".join(parts)))
    return chunks


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
    at = 0
    while at < len(packed):
        offset, charge_count, headers_size, value_size = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        charges = []
        for _ in range(charge_count):
            charges.append(_CHARGE.unpack_from(packed, at))
            at += _CHARGE.size
        headers = json.loads(packed[at : at + headers_size]) if headers_size else ()
        at += headers_size
        yield JournalEvent(
            offset,
            tuple(charges),
            packed[at : at + value_size],
            tuple((name, value.encode("latin-1")) for name, value in headers),
        )
        at += value_size

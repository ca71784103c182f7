"""The ledger's memory of events: what is remembered of each.

`ids` maps the 12-byte digest of (source, id) to 14 bytes: digest of the content (7), place (7). The place of a posted
event is its journal entry's number (5) and its index in that entry (2). The digests are `ledger/digests.py`. Redis'
memory comes in steps: a byte more of key or value would cost eight or sixteen.
"""

from ledger.digests import CONTENT_BYTES

AWAITED = bytes(14)
"""What is remembered of an event that others named and that did not come yet: no entry has the number 0."""

UNKNOWN = b"\xff" * 14
"""What is said of an id that nothing is remembered of."""


def content_of(remembered: bytes) -> bytes:
    """The digest of the bytes in which the remembered event came."""
    return remembered[:CONTENT_BYTES]


def place_of(remembered: bytes) -> bytes:
    """Where the remembered event's content lies."""
    return remembered[CONTENT_BYTES:]

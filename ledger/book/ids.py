"""The ledger's memory of events: what a key is remembered by, and what is remembered.

`ids` maps the 16-byte digest of (source, id) to 16 bytes: digest of the content (8), kind (1), place (7). The place of
a posted event is its journal entry's number (5) and its index in that entry (2). An event that others name before it
came is awaited: it has a kind, and nothing else.
"""

import hashlib
from collections.abc import Iterable

POSTED = b"p"
"""The kind of an id whose content lies in the journal."""

AWAITED = bytes(8) + b"w" + bytes(7)
"""What is remembered of an event that was named and did not come yet."""

UNKNOWN = bytes(16)
"""What is said of an id that nothing is remembered of."""


def digest_of_key(source: str, event_id: str) -> bytes:
    """The 16 bytes under which the ledger remembers an event."""
    return hashlib.sha256(f"{source}\0{event_id}".encode()).digest()[:16]


def digest_of_content(value: bytes, headers: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """The 8 bytes that tell two spellings apart: equal bytes are equal content, unequal ones may be."""
    said = hashlib.sha256(value)
    for name, text in headers:
        said.update(name.encode() + b"\0" + text + b"\0")
    return said.digest()[:8]


def same_bytes(remembered: bytes, content_digest: bytes) -> bool:
    """Whether the remembered event came in just these bytes."""
    return remembered[:8] == content_digest


def place_of(remembered: bytes) -> bytes:
    """Where the remembered event's content lies."""
    return remembered[9:]

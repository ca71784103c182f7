"""The ledger's memory of events: what is remembered of each.

`ids` maps the 12-byte digest of (source, id) to 16 bytes: digest of the content (8), kind (1), place (7). The place of
a posted event is its journal entry's number (5) and its index in that entry (2). An event that others name before it
came is awaited: it has a kind, and nothing else. The digests are `ledger/digests.py`.
"""

POSTED = b"p"
"""The kind of an id whose content lies in the journal."""

AWAITED = bytes(8) + b"w" + bytes(7)
"""What is remembered of an event that was named and did not come yet."""

UNKNOWN = bytes(16)
"""What is said of an id that nothing is remembered of."""


def same_bytes(remembered: bytes, content_digest: bytes) -> bool:
    """Whether the remembered event came in just these bytes."""
    return remembered[:8] == content_digest


def place_of(remembered: bytes) -> bytes:
    """Where the remembered event's content lies."""
    return remembered[9:]

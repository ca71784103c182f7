"""What an event is remembered by. Where that is kept is `book/ids.py`."""

from collections.abc import Iterable
from hashlib import blake2b

KEY_BYTES, CONTENT_BYTES = 12, 7

_key, _content = blake2b(digest_size=KEY_BYTES), blake2b(digest_size=CONTENT_BYTES)
"""Copied for each digest: that costs less than to begin one."""


def digest_of_key(source: str, event_id: str) -> bytes:
    """The 12 bytes under which an event is remembered."""
    said = _key.copy()
    said.update(f"{source}\0{event_id}".encode())
    return said.digest()


def digest_of_content(value: bytes, headers: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """The 7 bytes that tell two spellings apart: equal bytes are equal content, unequal ones may be."""
    said = _content.copy()
    said.update(value)
    for name, text in headers:
        said.update(name.encode() + b"\0" + text + b"\0")
    return said.digest()


def digest_as_kin(content: bytes, policy: str) -> bytes:
    """What tells one event of a family from another: what it says, and the SHA-256 of the policy that judged it."""
    return digest_of_content(content, [("policy", policy.encode())])

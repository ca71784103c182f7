"""API keys: their text, their record on the settings topic, and which scope opens what. Talks to nobody.

A key reads `qk_<id>_<secret>` and is told once. Kept is the SHA-256 of its secret, which is random: no slow hash is
needed. A revoked key keeps its record, with the time: a deleted one would vanish from the compacted topic in the end,
and a worker that was away until then would never hear of it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ledger.errors import WrongCall

ALERTS_READ = "alerts:read"
QUOTA_READ = "quota:read"
SHIPMENTS_WRITE = "shipments:write"
WEBHOOKS_ADMIN = "webhooks:admin"
SCOPES = frozenset({ALERTS_READ, QUOTA_READ, SHIPMENTS_WRITE, WEBHOOKS_ADMIN})
"""What there is to be allowed. `shipments:write:SOURCE` allows it for events of that source alone."""

SETTING_PREFIX = "key:"

_BOUND = f"{SHIPMENTS_WRITE}:"
_KEY = re.compile(r"qk_([0-9a-f]{16})_([0-9a-f]{48})")
_NO_SHA256 = "0" * 64


class Key(BaseModel):
    """A key as it is shown: neither its secret nor what is kept of it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    scopes: list[str]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None


class StoredKey(Key):
    """A key as its record on the settings topic holds it."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of the secret")]

    @property
    def setting_key(self) -> str:
        """The key of its record."""
        return SETTING_PREFIX + self.id

    def to_record(self) -> bytes:
        """The value of its record."""
        return self.model_dump_json(exclude_none=True).encode()

    def shown(self) -> Key:
        """As it may be shown."""
        return Key.model_validate(self.model_dump(exclude={"sha256"}))

    def revoked(self, now: datetime) -> "StoredKey":
        """The same key, opening nothing any more."""
        return self.model_copy(update={"revoked_at": now})


def create(name: str, scopes: Collection[str], *, now: datetime) -> tuple[StoredKey, str]:
    """A new key, not stored yet, and its text, which is told this once.

    Args:
        name: what people call it.
        scopes: what it opens.
        now: when it is created.

    Raises:
        WrongCall: one of the scopes does not exist.
    """
    for scope in scopes:
        _check_scope(scope)
    key_id, secret = secrets.token_hex(8), secrets.token_hex(24)
    stored = StoredKey(id=key_id, name=name, scopes=sorted(set(scopes)), created_at=now, sha256=_sha256(secret))
    return stored, f"qk_{key_id}_{secret}"


def id_and_secret(text: str) -> tuple[str, str]:
    """The parts of a key's text; two empty ones if it is no key, for which there is no record."""
    found = _KEY.fullmatch(text)
    return (found[1], found[2]) if found else ("", "")


def scopes_of(stored: StoredKey | None, secret: str) -> frozenset[str] | None:
    """What a key opens; None unless it is in force and this is its secret. Takes as long where there is no such key."""
    same = hmac.compare_digest(_sha256(secret), stored.sha256 if stored else _NO_SHA256)
    if stored is None or stored.revoked_at is not None or not same:
        return None
    return frozenset(stored.scopes)


def opens(scopes: Collection[str], scope: str) -> bool:
    """Whether a key with `scopes` may make a call that asks for `scope`; of what is sent then, `may_send` decides."""
    bound = scope == SHIPMENTS_WRITE and any(held.startswith(_BOUND) for held in scopes)
    return bound or scope in scopes


def may_send(scopes: Collection[str], source: str) -> bool:
    """Whether a key with `scopes` may send events of this source."""
    return SHIPMENTS_WRITE in scopes or _BOUND + source in scopes


def _check_scope(scope: str) -> None:
    source = scope.removeprefix(_BOUND)
    if scope not in SCOPES and (source in {scope, ""} or not source.isprintable()):
        raise WrongCall(f"{scope!r} is no scope; there are {', '.join(sorted(SCOPES))} and {_BOUND}SOURCE")


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""The API keys of a ledger as Redis holds them, copied from the settings topic by the worker. Writes nothing.

Each call asks Redis anew, so that a revoked key opens nothing from the moment the worker has copied that.
"""

import logging

from pydantic import ValidationError
from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import asked
from streams.api.keys import StoredKey

log = logging.getLogger(__name__)


class KeyRing:
    """Every method raises LedgerUnavailable when Redis does not answer.

    Args:
        redis: a client that answers in bytes.
        ledger: the ledger's name.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._records = Keys(ledger).api_keys

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of this id, revoked or not; None if there is none."""
        record = await asked(self._redis.hget(self._records, key_id))
        return _read(key_id, record) if record is not None else None

    async def all(self) -> list[StoredKey]:
        """Every key, revoked ones too, oldest first."""
        records = await asked(self._redis.hgetall(self._records))
        found = [_read(key_id.decode(), record) for key_id, record in records.items()]
        return sorted(filter(None, found), key=lambda key: key.created_at)


def _read(key_id: str, record: bytes) -> StoredKey | None:
    """A key from its record. One that cannot be read opens nothing."""
    try:
        return StoredKey.model_validate_json(record)
    except ValidationError:
        log.warning("the record of API key %s cannot be read", key_id)
        return None

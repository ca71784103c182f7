"""Alerts on their way from the ledger to the topic `alerts`: read from the head, removed when they are there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import Script, asked
from schemas.quota_alert import QuotaAlert


def outbox_entry(timestamp_ms: int, alert: QuotaAlert) -> str:
    """An alert as it waits in the outbox, after the Kafka time of the record that gave rise to it."""
    return f"{timestamp_ms} {alert.model_dump_json()}"


class Outbox:
    """One ledger's outbox. Every method raises LedgerUnavailable when Redis does not answer.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
        relay: who relays; the lease is held under this name.
    """

    def __init__(self, redis: Redis, ledger: str, *, relay: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._relay = relay
        self._remove = Script(redis, Path(__file__).with_name("remove_relayed.lua"))
        self._renew = Script(redis, Path(__file__).with_name("renew_lease.lua"))

    async def hold_lease(self, seconds: float) -> bool:
        """Take or renew the right to relay. Two relays would tell alerts twice (under the same id), not lose any."""
        milliseconds = int(seconds * 1000)
        return bool(await self._renew([self._keys.relay_lease], [self._relay, milliseconds]))

    async def head(self, count: int) -> list[bytes]:
        """The oldest entries: `<Kafka time of the record in ms> <alert in JSON>`."""
        entries = self._redis.lrange(self._keys.outbox, 0, count - 1)
        found: list[bytes] = await asked(entries)
        return found

    async def remove(self, entries: Sequence[bytes]) -> int:
        """Remove entries from the head, as long as they still are what was relayed; returns how many were.

        Redis may have gone back meanwhile: what lies at the head then is another alert, which stays.
        """
        removed: Any = await self._remove([self._keys.outbox], list(entries))
        return int(removed)

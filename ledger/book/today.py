"""The ledger's day, by whose caps its accounts are measured, and what is told when another begins.

A policy may state another cap, or another tier, from some day within a period. Then accounts stand otherwise though
nothing was shipped. The day is the ledger's own, not a worker's: whoever posts is told it by the call.
"""

import asyncio
import json
from datetime import UTC, date, datetime, time
from pathlib import Path

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.outbox import outbox_entry
from ledger.book.remeasure import remeasure
from ledger.book.script import Script, asked
from ledger.errors import LedgerClosed, PolicyChanged
from ledger.rules.adoptions import Rulebook, Yardstick
from schemas.adoption import Closure


def read_day(text: bytes | None) -> date:
    """The day as it is kept. Before the first, every period is measured as on its last day."""
    return date.fromisoformat(text.decode()) if text else date.max


def day_in_text(day: date) -> str:
    """The inverse of `read_day`."""
    return "" if day == date.max else day.isoformat()


class Today:
    """The day of one ledger. Every method raises LedgerUnavailable when Redis does not answer.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)
        self._begin = Script(redis, Path(__file__).with_name("begin_day.lua"))

    async def read(self) -> date:
        """The ledger's day, UTC."""
        return read_day(await asked(self._redis.hget(self._keys.meta, "today")))

    async def begin(self, today: date, rules: Rulebook) -> int:
        """Begin a day, if it is a later one: accounts whose cap is another by then are measured anew.

        Args:
            today: the day.
            rules: the adoptions.

        Returns:
            How many alerts were written.

        Raises:
            PolicyChanged: there is a newer adoption: ask for it, and call again.
            LedgerClosed: wait.
        """
        keys, midnight = self._keys, datetime.combine(today, time(), UTC)
        while (before := await self.read()) == date.max or before < today:
            records = await asked(self._redis.hgetall(keys.balances))
            yardsticks = Yardstick(rules, before), Yardstick(rules, today)
            changed = await asyncio.to_thread(remeasure, records, *yardsticks, midnight)
            alerts = (outbox_entry(int(midnight.timestamp() * 1000), alert) for alert in changed.alerts)
            arguments = rules.number, day_in_text(before), day_in_text(today), len(records), json.dumps(changed.rows)
            status, *told = await self._begin([keys.meta, keys.balances, keys.outbox], [*arguments, *alerts])
            match status:
                case b"begun":
                    return len(changed.alerts)
                case b"adopting":
                    raise LedgerClosed(Closure.model_validate_json(told[0]).sentence())
                case b"policy":
                    raise PolicyChanged(told[0].decode())
        return 0

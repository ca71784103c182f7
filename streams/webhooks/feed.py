"""The alerts in the order of their topic, for the API: page by page back in time, or followed as they come."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from redis.asyncio import Redis

from ledger.book.keys import Keys
from ledger.book.script import asked
from ledger.errors import WrongCursor
from schemas.quota_alert import QuotaAlert

SCAN = 500
"""Entries read from Redis at a time."""

SCANNED_MAX = 20_000
"""Entries looked at for one page: one that filters nearly everything away may be short, and is carried on by `next`."""

BLOCK_MS = 1000
CURSOR_MAX = 16
_BEFORE_ALL = "0"

Entry = tuple[bytes, dict[bytes, bytes]]
"""Of a stream: name and fields."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which alerts are asked for; None lets everything through.

    Attributes:
        since: only what was recorded at that moment or later.
    """

    kind: str | None = None
    country: str | None = None
    since: datetime | None = None

    def read(self, fields: dict[bytes, bytes]) -> QuotaAlert | None:
        """The alert of an entry, if it is asked for."""
        if self.kind is not None and fields[b"kind"] != self.kind.encode():
            return None
        if self.country is not None and fields[b"country"] != self.country.encode():
            return None
        alert = QuotaAlert.model_validate_json(fields[b"alert"])
        return None if self.since is not None and alert.recorded_at < self.since else alert


class Feed:
    """The alerts of one ledger. A cursor names a place between two of them; it is a text nobody need understand.

    Args:
        redis: a client that answers in bytes.
        ledger: its name.

    Every method raises LedgerUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, ledger: str) -> None:
        self._redis = redis
        self._keys = Keys(ledger)

    async def page(
        self,
        *,
        after: str | None = None,
        count: int,
        kind: str | None = None,
        country: str | None = None,
        since: datetime | None = None,
    ) -> tuple[list[QuotaAlert], str | None]:
        """One page, newest first.

        Args:
            after: the `next` of the page before; None for the first.
            count: alerts at most.
            kind: only of this kind.
            country: only of this country.
            since: only what was recorded then or later.

        Returns:
            The alerts, and the cursor of the next page, None when there is none.

        Raises:
            WrongCursor: the cursor is none of ours.
        """
        filters = Filters(kind, country, since)
        found: list[QuotaAlert] = []
        cursor = after
        for _ in range(SCANNED_MAX // SCAN):
            upto = "+" if cursor is None else _older_than(cursor)
            older = self._redis.xrevrange(self._keys.alerts, max=upto, count=SCAN)
            entries = await asked(older)
            for name, fields in entries:
                alert = filters.read(fields)
                if alert is not None and len(found) == count:
                    return found, cursor
                if alert is not None:
                    found.append(alert)
                cursor = _cursor(name)
            if len(entries) < SCAN:
                return found, None
        return found, cursor

    async def follow(
        self,
        after: str | None = None,
        *,
        kind: str | None = None,
        country: str | None = None,
        since: datetime | None = None,
    ) -> AsyncIterator[tuple[str, QuotaAlert]]:
        """Alerts with their cursors as they come, oldest first, without end.

        Args:
            after: a cursor: begin with what came after it.
            kind: only of this kind.
            country: only of this country.
            since: without a cursor, begin with what was recorded then; without either, with what comes from now on.

        Raises:
            WrongCursor: the cursor is none of ours.
        """
        filters = Filters(kind, country, since)
        cursor = after if after is not None else await self.beginning(since)
        while True:
            found, cursor = await self.newer(cursor, filters)
            for told in found:
                yield told
            _heed_cancel()

    async def beginning(self, since: datetime | None) -> str:
        """The cursor behind which a follower without one begins: at what comes from now on, or far enough back."""
        if since is not None:
            return _BEFORE_ALL
        newest = self._redis.xrevrange(self._keys.alerts, count=1)
        entries = await asked(newest)
        return _cursor(entries[0][0]) if entries else _BEFORE_ALL

    async def resume(self, cursor: str, since: datetime | None) -> str:
        """Where a follower goes on that heard of all up to a cursor.

        There, unless the feed is not that long: then it was begun anew (Redis was lost), and so does the follower.

        Raises:
            WrongCursor: the cursor is none of ours.
        """
        newest = await self.beginning(None)
        return cursor if _place(cursor) <= _place(newest) else await self.beginning(since)

    async def newer(self, cursor: str, filters: Filters) -> tuple[list[tuple[str, QuotaAlert]], str]:
        """Alerts behind a cursor, oldest first, each with its own; and how far was looked. Waits a second for them.

        Raises:
            WrongCursor: the cursor is none of ours.
        """
        newer = self._redis.xread({self._keys.alerts: b"%d-0" % _place(cursor)}, count=SCAN, block=BLOCK_MS)
        found = []
        for name, fields in _entries(await asked(newer)):
            cursor = _cursor(name)
            if (alert := filters.read(fields)) is not None:
                found.append((cursor, alert))
        return found, cursor


def _heed_cancel() -> None:
    """End a cancelled task for certain: `asyncio.wait_for`, on which redis-py writes, may swallow it in Python 3.11."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _cursor(name: bytes) -> str:
    return name.decode().removesuffix("-0")


def is_cursor(text: str) -> bool:
    """Whether a text has the form of our cursors."""
    return text.isascii() and text.isdigit() and len(text) <= CURSOR_MAX


def _place(cursor: str) -> int:
    if not is_cursor(cursor):
        raise WrongCursor
    return int(cursor)


def _older_than(cursor: str) -> str:
    """Where a stream's range that is read backwards begins; nothing is older than the beginning, and Redis says so."""
    if (place := _place(cursor)) == 0:
        raise WrongCursor
    return f"({place}-0"


def _entries(answer: Any) -> list[Entry]:
    """The entries of the one stream that was read: the answer's form depends on the protocol, empty on a time-out."""
    if not answer:
        return []
    if isinstance(answer, dict):
        [[entries]] = answer.values()
    else:
        [[_, entries]] = answer
    return cast("list[Entry]", entries)

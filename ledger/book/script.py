"""Calling Redis: scripts sent by their hash, and its errors sorted by whether trying again helps."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ledger.errors import LedgerUnavailable

_PASSING = ("LOADING", "BUSY", "READONLY", "MISCONF", "NOREPLICAS", "OOM", "NOSCRIPT", "MASTERDOWN", "TRYAGAIN")
"""Answers of a Redis that cannot write just now: waiting helps, or somebody has to mend it while we wait."""


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """A client that answers in bytes and never repeats a call by itself: whoever calls decides.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: how long one answer may take.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


async def asked(answer: Any) -> Any:
    """Await one answer of Redis, of the type that the caller states: redis-py types its two clients at once.

    Raises:
        LedgerUnavailable: no answer, or one that says that it cannot write just now.
    """
    try:
        return await answer
    except AuthenticationError as failure:
        raise LedgerUnavailable(f"Redis refuses the user or the password in QUOTA_REDIS_URL: {failure}") from failure
    except (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError) as failure:
        raise LedgerUnavailable(f"Redis does not answer: {failure}") from failure
    except NoPermissionError as failure:
        advice = (
            "the user in QUOTA_REDIS_URL is not the one for this, or Redis lacks a rule of streams/deploy/users.acl"
        )
        raise LedgerUnavailable(f"Redis refuses this: {failure}; {advice}") from failure
    except ResponseError as failure:
        text = str(failure)
        if isinstance(failure, NoScriptError) or text.startswith(_PASSING) or _names_a_passing_code(failure):
            raise LedgerUnavailable(f"Redis cannot serve this call now: {text}") from failure
        raise


class Script:
    """A Lua file, run by its hash; a Redis that does not know it (any more) is given it and asked again.

    Args:
        redis: the client.
        path: the file; its header says what it takes and returns.
    """

    def __init__(self, redis: Redis, path: Path) -> None:
        self._redis = redis
        self._text, self._sha1 = _read(path)

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run it.

        Raises:
            LedgerUnavailable: as `asked`.
        """
        call = (len(keys), *keys, *arguments)
        try:
            return await asked(self._redis.evalsha(self._sha1, *call))
        except LedgerUnavailable as failure:
            if not isinstance(failure.__cause__, NoScriptError):
                raise
        await asked(self._redis.script_load(self._text))
        return await asked(self._redis.evalsha(self._sha1, *call))


@cache
def _read(path: Path) -> tuple[str, str]:
    """A script, and by what Redis names it."""
    text = path.read_text()
    return text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324


def _names_a_passing_code(failure: RedisError) -> bool:
    """redis-py has classes of its own for some codes, and cuts the code off their text."""
    return type(failure).__name__ in {"BusyLoadingError", "ReadOnlyError", "OutOfMemoryError", "MasterDownError"}

"""Which ledger a command speaks to: the settings', else that of a running `up`, else the defaults'."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis

from ledger.book.read import Reader
from ledger.book.script import connect
from streams.settings import Settings, load_settings
from streams.webhooks.feed import Feed

Answer = TypeVar("Answer")

_ADDRESSES = {"kafka_bootstrap", "redis_url"}


def now() -> datetime:
    """The clock of the command line: read here, passed on from here."""
    return datetime.now(UTC)


def settings_here() -> Settings:
    """The settings of this command; says on stderr which ledger they lead to.

    Raises:
        WrongCall: a setting is misspelt or wrong.
    """
    settings = load_settings()
    whence = "by its settings"
    if _ADDRESSES.isdisjoint(settings.model_fields_set):
        from streams.embedded.state import running  # noqa: PLC0415  only a command without addresses needs it

        whence = "by default, for no `up` is running"
        if state := running(settings.state_dir):
            settings = load_settings(None, **state.settings)
            whence = "of the running `up`"
    _say_which(settings, whence)
    return settings


def ask(settings: Settings, question: Callable[[Reader, Feed], Awaitable[Answer]]) -> Answer:
    """Put a question to the ledger in Redis.

    Raises:
        LedgerUnavailable: Redis does not answer.
    """
    ledger = settings.ledger
    return ask_redis(settings, lambda redis: question(Reader(redis, ledger, now=now), Feed(redis, ledger)))


def ask_redis(settings: Settings, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
    """As `ask`, where the question is for other parts of the ledger.

    Raises:
        LedgerUnavailable: Redis does not answer.
    """

    async def asking() -> Answer:
        redis = connect(settings.redis_url.get_secret_value())
        try:
            return await question(redis)
        finally:
            await redis.aclose()

    return asyncio.run(asking())


def _say_which(settings: Settings, whence: str) -> None:
    address = urlsplit(settings.redis_url.get_secret_value())
    redis = address._replace(netloc=address.netloc.rpartition("@")[2], query="").geturl()
    print(  # noqa: T201  stderr is where it belongs
        f"ledger {settings.ledger} {whence}: Redis {redis}, Kafka {settings.kafka_bootstrap}", file=sys.stderr
    )

"""Coroutines without an event loop: whoever runs them chooses whose next call happens, and whether it does.

Product code runs as it is. Every call that leaves a process (to Redis, to Kafka, to the clock) is an `Effect` that the
coroutine waits for; until it is carried out, anything may happen. `no_event_loop` puts `asyncio`'s stand-in in place.
"""

import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import ledger.book.adopted
import ledger.book.kept_settings
import ledger.book.today
import streams.adopt_policy
import streams.debit_shipments
import streams.keep_settings
import streams.relay_outbox
import streams.worker

MODULES = (
    ledger.book.adopted,
    ledger.book.kept_settings,
    ledger.book.today,
    streams.adopt_policy,
    streams.debit_shipments,
    streams.keep_settings,
    streams.relay_outbox,
    streams.worker,
)
"""Whatever of the product names `asyncio` on the way of an event."""


class Effect:
    """Something that happens outside of a process, at a moment that the scheduler chooses.

    Attributes:
        do: makes it happen; its answer, or what it raises, goes to the coroutine.
        rests: whether the coroutine only waits for time to pass.
    """

    __slots__ = ("do", "rests")

    def __init__(self, do: Callable[[], Any], *, rests: bool = False) -> None:
        self.do = do
        self.rests = rests


@types.coroutine
def happens(do: Callable[[], Any], *, rests: bool = False):
    """Wait until this has happened."""
    return (yield Effect(do, rests=rests))


class Task:
    """One coroutine, and the effect that it waits for."""

    def __init__(self, coroutine) -> None:
        self._coroutine = coroutine
        self.effect: Effect | None = None
        self._resume(coroutine.send, None)

    def step(self) -> None:
        """Have the effect happen, and run the coroutine to its next one. Raises what the coroutine raises."""
        assert self.effect is not None
        try:
            answer = self.effect.do()
        except Exception as failure:  # noqa: BLE001  it is the coroutine's to deal with
            self._resume(self._coroutine.throw, failure)
        else:
            self._resume(self._coroutine.send, answer)

    def end(self) -> None:
        """Let it go: the process is dead."""
        self.effect = None
        self._coroutine.close()

    def _resume(self, resume, value) -> None:
        try:
            self.effect = resume(value)
        except StopIteration:
            self.effect = None


class StandIn:
    """What the product uses of `asyncio`. Threads are effects, and time passes when the scheduler says so."""

    class Event:
        """Set or not: nobody waits for it by itself."""

        def set(self) -> None:
            pass

        def clear(self) -> None:
            pass

        async def wait(self) -> None:
            await StandIn.sleep(0)

    class Lock:
        """Held by one coroutine at a time; the others look again whenever time passes."""

        def __init__(self) -> None:
            self._held = False

        async def __aenter__(self) -> None:
            while self._held:
                await StandIn.sleep(0)
            self._held = True

        async def __aexit__(self, *_why) -> None:
            self._held = False

    @staticmethod
    async def to_thread(work, *args):
        return await happens(lambda: work(*args))

    @staticmethod
    async def sleep(_seconds):
        await happens(lambda: None, rests=True)

    @staticmethod
    async def wait_for(awaitable, _seconds):
        return await awaitable

    @staticmethod
    def get_running_loop():
        return StandIn

    @staticmethod
    def time():
        return 0.0


@contextmanager
def no_event_loop() -> Iterator[None]:
    """Run the product's coroutines by hand."""
    with ExitStack() as patched:
        for module in MODULES:
            patched.enter_context(mock.patch.object(module, "asyncio", StandIn))
        yield

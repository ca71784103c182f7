"""Answers that many ask for at once: made once, and given to everybody who asks within a moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

MAX_AGE_S = 0.1
"""How old a copy may be that is given away, counted from when its making began."""

KEPT_MAX = 32
"""Copies that are kept: more questions than these are not asked often."""

T = TypeVar("T")


class Copies(Generic[T]):
    """Copies of answers, by question.

    Args:
        max_age_s: how old a copy may be; with 0 none is given twice.
        clock: seconds that never go back.
    """

    def __init__(self, max_age_s: float, clock: Callable[[], float]) -> None:
        self._max_age_s = max_age_s
        self._clock = clock
        self._made: dict[Hashable, tuple[float, asyncio.Task[T]]] = {}

    async def get(self, question: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question; `make` is asked unless a copy, or one that is being made, is young enough.

        Raises:
            Exception: whatever `make` raised, to everybody who waited for it; it is not kept.
        """
        now = self._clock()
        began, task = self._made.get(question, (0.0, None))
        if task is None or now - began >= self._max_age_s or (task.done() and task.exception() is not None):
            task = asyncio.ensure_future(make())
            self._made.pop(question, None)
            self._made[question] = now, task
            if len(self._made) > KEPT_MAX:
                del self._made[next(iter(self._made))]
        return await asyncio.shield(task)

"""How often one caller may call: so many a second over time, more at once after a pause (a leaky bucket, as GCRA)."""

from collections.abc import Callable

BURST_S = 10.0
"""The calls of how many seconds may come at once."""


class Throttle:
    """Holds callers back, each by itself. They are remembered: let it hear of those alone who are known.

    Args:
        calls_per_s: how many calls a caller may make on average; 0 for any number.
        clock: seconds that never go back.
    """

    def __init__(self, calls_per_s: float, clock: Callable[[], float]) -> None:
        self._interval_s = 1 / calls_per_s if calls_per_s else 0.0
        self._clock = clock
        self._paid_until: dict[str, float] = {}

    def wait_s(self, caller: str) -> float:
        """How long a caller has to wait until it may call, in seconds; 0 if this call may pass, which then counts."""
        now = self._clock()
        paid_until = max(now, self._paid_until.get(caller, now)) + self._interval_s
        wait_s = paid_until - now - max(BURST_S, self._interval_s)
        if wait_s > 0:
            return wait_s
        self._paid_until[caller] = paid_until
        return 0.0

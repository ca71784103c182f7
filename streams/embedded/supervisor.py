"""Keeps the processes of `up` running: starts again what exits, and ends everything in order. Shows nothing itself."""

import sys
from pathlib import Path

from ledger.errors import LedgerUnavailable, WrongCall
from streams.embedded.children import Child, Register, end_all

PROCESSES = ("worker", "sender", "api")
WRONG_CALL = 2
DELAY_MIN_S = 0.5
DELAY_MAX_S = 10.0
STEADY_S = 60.0
"""A process that ran this long starts again without delay, as if it had never failed."""


class _Kept:
    """A process that is started again whenever it exits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.child: Child | None = None
        self.due_at = 0.0
        self.delay_s = DELAY_MIN_S

    def is_due(self, now: float) -> bool:
        return self.child is None and now >= self.due_at


class Supervisor:
    """The processes of one `up`.

    Args:
        folder: where their logs go.
        register: the list of the guard that ends them when this process is gone.
    """

    def __init__(self, folder: Path, register: Register) -> None:
        self._folder = folder
        self._register = register
        self._environment: dict[str, str] = {}
        self._parts: list[Child] = []
        self._kept: list[_Kept] = []

    def watch_part(self, child: Child) -> None:
        """A part that cannot be started again without losing what it holds: its end is the end of all."""
        self._parts.append(child)

    def keep_running(self, environment: dict[str, str]) -> None:
        """From the next tick on, worker, sender and endpoint run with this environment."""
        self._environment = environment
        self._kept = [_Kept(name) for name in PROCESSES]

    def tick(self, now: float) -> list[str]:
        """Start what is due and notice what ended; call it several times a second.

        Args:
            now: `time.monotonic()`.

        Returns:
            What happened, in sentences.

        Raises:
            WrongCall: a process refuses its settings: it says so in its own words.
            LedgerUnavailable: a part is gone.
        """
        for part in self._parts:
            if part.exit_code() is not None:
                raise LedgerUnavailable(f"the embedded {part.name} ended; its log is {part.log}")
        happened = []
        for kept in self._kept:
            if kept.child is not None and (code := kept.child.exit_code()) is not None:
                happened.append(self._note_exit(kept, kept.child, code, now))
            if kept.is_due(now):
                kept.child = self._start(kept.name)
        return happened

    def stop(self) -> None:
        """End the processes, then the parts they lean on; returns when all are gone."""
        end_all([kept.child for kept in self._kept if kept.child is not None])
        end_all(self._parts)

    def pids(self) -> dict[str, int]:
        """The processes that run now, by name."""
        return {kept.name: kept.child.pid for kept in self._kept if kept.child is not None}

    def _start(self, name: str) -> Child:
        return Child(
            name,
            [sys.executable, "-m", "streams.cli.main", name],
            log=self._folder / f"{name}.log",
            register=self._register,
            environment=self._environment,
        )

    def _note_exit(self, kept: _Kept, child: Child, code: int, now: float) -> str:
        if code == WRONG_CALL:
            raise WrongCall(f"{kept.name} did not start: {child.log_tail(1).removeprefix('quota-ledger: ')}")
        if now - child.started_at > STEADY_S:
            kept.delay_s = DELAY_MIN_S
        delay_s = kept.delay_s
        kept.child, kept.due_at = None, now + delay_s
        kept.delay_s = min(2 * delay_s, DELAY_MAX_S)
        return f"{kept.name} ended ({_how(code)}), starts again in {delay_s:g} s; its log is {child.log}"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

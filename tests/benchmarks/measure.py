"""One round after the other: every candidate in a fresh process, its sums checked, what it measured collected."""

import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from redis import Redis

from ledger.book.keys import Keys
from ledger.policy import load_policy
from streams.embedded.children import Child, end_all
from streams.settings import Settings, environment_of
from tests import parts
from tests.benchmarks import peers
from tests.benchmarks.candidates import CANDIDATES, Candidate
from tests.benchmarks.ground import Ground
from tests.benchmarks.job import Job, Measured
from tests.benchmarks.traffic import POLICY, charge_due, shipments

START_S = 60.0
FAST_S, SLOW_S = 0.001, 0.01
"""Seconds that an event may take at most before a run is given up."""

FETCHED_AHEAD, KEPT_AHEAD = 25_000, 4096
"""Events that a client fetches ahead from four partitions, and messages that Faust keeps ahead of a naive agent: a tail
is as long, where as much is measured."""


class Failed(Exception):  # noqa: N818
    """A candidate did not come to its end, or booked something else than was sent."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many events a candidate is given."""

    warm_up: int
    measured: int
    tail: int

    @property
    def total(self) -> int:
        return self.warm_up + self.measured + self.tail


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    candidates: Sequence[str]
    kinds: Sequence[str]
    events: int
    naive_events: int
    rounds: int
    partitions: int

    def load(self, candidate: Candidate) -> Load:
        """What this candidate is given."""
        if candidate.slow:
            return Load(self.naive_events // 4, self.naive_events, min(self.naive_events, KEPT_AHEAD))
        return Load(self.events // 4, self.events, min(self.events, FETCHED_AHEAD))


@dataclass(frozen=True, slots=True)
class Run:
    """One candidate's turn in one round. `redis_bytes` is what its events came to in Redis, None if it books none."""

    candidate: str
    kind: str
    round: int
    measured: Measured
    redis_bytes: int | None
    events_kept: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Topic:
    """A filled topic, and what a ledger must say after it."""

    name: str
    kind: str
    load: Load
    value_bytes: float
    expected: dict[str, int]


def measure_all(ground: Ground, plan: Plan, folder: Path, say: Callable[[str], None]) -> tuple[list[Run], list[Topic]]:
    """Fill the topics, then go through the rounds.

    Raises:
        Failed: a candidate did not end, or its sums are wrong.
    """
    topics: dict[tuple[str, bool], Topic] = {}
    for kind in plan.kinds:
        for name in plan.candidates:
            candidate = CANDIDATES[name]
            if (kind, candidate.slow) not in topics:
                say(f"filling a topic with {plan.load(candidate).total:,} {kind} events")
                topics[kind, candidate.slow] = _fill(ground, plan, kind, plan.load(candidate))
    runs = []
    for number in range(1, plan.rounds + 1):
        for kind in plan.kinds:
            for name in plan.candidates:
                run = _run(ground, name, number, topics[kind, CANDIDATES[name].slow], folder)
                spent_us = run.measured.cpu_s / run.measured.events * 1e6
                say(f"round {number} of {plan.rounds}, {kind}, {name}: {spent_us:.1f} µs")
                runs.append(run)
    return runs, list(topics.values())


def _fill(ground: Ground, plan: Plan, kind: str, load: Load) -> Topic:
    topic, policy = f"{kind}-{load.total}", load_policy(POLICY)
    expected: Counter[str] = Counter()
    sizes = []

    def values() -> Iterator[bytes]:
        for shipped in shipments(kind, load.total):
            account, tpp = charge_due(shipped, policy)
            expected[account] += tpp
            sizes.append(len(shipped.value))
            yield shipped.value

    ground.fill(topic, values(), plan.partitions)
    return Topic(topic, kind, load, fmean(sizes), expected)


def _run(ground: Ground, name: str, number: int, topic: Topic, folder: Path) -> Run:
    ground.redis.flushall()
    empty_bytes = ground.redis.info("memory")["used_memory"]
    job = _job(ground, name, topic, folder)
    _measure(ground, job, folder, SLOW_S if CANDIDATES[name].slow else FAST_S)
    measured = Measured(**json.loads(Path(job.result).read_text()))
    if not CANDIDATES[name].books:
        return Run(name, topic.kind, number, measured, None, 0)
    check_books(ground.redis, name, job.ledger, kept=job.total, expected=topic.expected)
    kept_bytes = ground.redis.info("memory")["used_memory"] - empty_bytes
    return Run(name, topic.kind, number, measured, kept_bytes, job.total)


def _job(ground: Ground, name: str, topic: Topic, folder: Path) -> Job:
    ledger = f"{name}-{uuid.uuid4().hex[:8]}"
    own_topics = {f"topic_{role}": f"{role}-{ledger}" for role in ("rejected", "alerts", "settings")}
    if CANDIDATES[name].ledger:
        for own_topic in own_topics.values():
            ground.broker.make_topic(own_topic, 1)
    settings = Settings.model_validate(
        {
            "kafka_bootstrap": ground.broker.bootstrap,
            "kafka_api_version": ground.broker.api_version,
            "redis_url": ground.server.url,
            "ledger": ledger,
            "policy": POLICY,
            "topic_shipments": topic.name,
            "state_dir": folder / ledger,
            **own_topics,
        }
    )
    return Job(
        candidate=name,
        bootstrap=ground.broker.bootstrap,
        redis_url=ground.server.url,
        topic=topic.name,
        warm_up=topic.load.warm_up,
        measured=topic.load.measured,
        tail=topic.load.tail,
        ledger=ledger,
        settings=environment_of(settings),
        result=str(folder / f"{ledger}.json"),
    )


def _measure(ground: Ground, job: Job, folder: Path, event_s: float) -> None:
    """Start the candidate's process, wait for what it measured, and end it."""
    child = Child(
        job.candidate,
        [
            str(peers.PYTHON) if CANDIDATES[job.candidate].peer else sys.executable,
            *("-m", "tests.benchmarks.run_one", job.to_json()),
        ],
        log=folder / f"{job.ledger}.log",
        register=ground.register,
        environment=parts.environment_without_settings() | {"PYTHONPATH": str(parts.ROOT)},
    )
    try:
        until = time.monotonic() + START_S + job.total * event_s
        while not Path(job.result).exists():
            if child.exit_code() is not None:
                raise Failed(f"{job.candidate} ended (exit code {child.exit_code()}):\n{child.log_tail()}")
            if time.monotonic() > until:
                raise Failed(f"{job.candidate} took too long:\n{child.log_tail()}")
            time.sleep(0.02)
    finally:
        end_all([child])


def check_books(redis: Redis, name: str, ledger: str, *, kept: int, expected: Mapping[str, int]) -> None:
    """Compare what a ledger holds with what was sent to it.

    Raises:
        Failed: it knows more or fewer events than it should, or has other balances (`account|period` -> TPP).
    """
    keys = Keys(ledger)
    known = redis.hlen(keys.ids)
    if known != kept:
        raise Failed(f"{name} knows {known} events of {kept}")
    found = {name.decode(): int(record.split(b" ", 1)[0]) for name, record in redis.hgetall(keys.balances).items()}
    wrong = {
        name: (found.get(name), expected.get(name))
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    }
    if wrong:
        raise Failed(f"{name} booked other sums than were sent (booked, sent): {wrong}")

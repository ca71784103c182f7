"""One measurement: what a candidate's process is told, and the meter that it counts its events on.

The topic holds more than is measured: warm-up events before the first mark, and a tail after the second, so that what
was fetched ahead is the same at both marks.
"""

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

from redis import Redis

from tests.benchmarks.usage import redis_cpu_s

GC_THRESHOLD = (50_000, 20, 100)
"""The worker's; every candidate gets it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to do.

    Attributes:
        candidate: its letter.
        topic: the filled topic.
        warm_up, measured, tail: events before the first mark, between the marks, and after the second.
        ledger: the name under which this run, and no other, books.
        settings: the variables of quota-ledger's settings.
        result: the file that gets what was measured, when the last event is done.
    """

    candidate: str
    bootstrap: str
    redis_url: str
    topic: str
    warm_up: int
    measured: int
    tail: int
    ledger: str
    settings: dict[str, str]
    result: str

    @property
    def total(self) -> int:
        """All events on the topic."""
        return self.warm_up + self.measured + self.tail

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(slots=True)
class Measured:
    """What happened between the two marks. `stages` are CPU seconds by stage, where a candidate tells them."""

    events: int
    wall_s: float
    cpu_s: float
    redis_cpu_s: float
    stages: dict[str, float] = field(default_factory=dict)


class Meter:
    """Counts a candidate's events; at two of them it reads the clocks.

    CPU is this whole process's, of all threads, in user and kernel mode. Redis' is what `INFO` says of its own.

    Attributes:
        stages: CPU seconds by stage, added to by a candidate that tells them.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._redis = Redis.from_url(job.redis_url)
        self._first: Measured | None = None
        self._second: Measured | None = None
        self.count = 0
        self.stages: Counter[str] = Counter()

    @property
    def done(self) -> bool:
        """Whether every event was counted."""
        return self.count >= self._job.total

    def add(self, events: int) -> None:
        """So many more events are dealt with."""
        self.count += events
        if self._first is None:
            if self.count >= self._job.warm_up:
                spent_s = redis_cpu_s(self._redis)
                self._first = self._mark(spent_s)
        elif self._second is None and self.count >= self._job.warm_up + self._job.measured:
            self._second = self._mark(0.0)
            self._second.redis_cpu_s = redis_cpu_s(self._redis)
        if self.done:
            self._tell()

    def _mark(self, redis_cpu_s: float) -> Measured:
        stages = dict(self.stages)
        return Measured(self.count, time.perf_counter(), time.process_time(), redis_cpu_s, stages)

    def _tell(self) -> None:
        first, second = self._first, self._second
        if first is None or second is None:
            give_up("both marks fell into one fetch: measure more events")
        between = Measured(
            second.events - first.events,
            second.wall_s - first.wall_s,
            second.cpu_s - first.cpu_s,
            second.redis_cpu_s - first.redis_cpu_s,
            {stage: spent_s - first.stages.get(stage, 0.0) for stage, spent_s in second.stages.items()},
        )
        unfinished = Path(f"{self._job.result}.part")
        unfinished.write_text(json.dumps(asdict(between)))
        unfinished.replace(self._job.result)


def give_up(why: str) -> NoReturn:
    """End this process and say why: the frameworks swallow what is raised in them, or try again for ever."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)

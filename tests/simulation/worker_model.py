"""A worker, simulated: the product's own parts and the product's own fetcher, on modelled edges.

Modelled are the consumer that fetches, the group that assigns, and the process that dies; what Faust does between them
is a queue of runs a topic. A name in `off` switches off one of the guards that live here.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from unittest import mock

from faust.types import TP

import ledger.book.adopted
import ledger.book.kept_settings
import ledger.book.setting
import streams.keep_settings
import streams.worker
from ledger.book.kept_settings import KeptSettings
from ledger.book.position import Position
from ledger.book.setting import adoption
from ledger.errors import LedgerError, LedgerUnavailable
from streams.kafka.transport import ConsumerThread
from streams.keep_settings import policy_in_force
from streams.settings import Settings
from streams.webhooks.jobs import Jobs
from streams.worker import RUNS_WAITING_MAX, WorkerParts
from tests.simulation.scheduler import Task, happens, no_event_loop
from tests.simulation.truth import Broken

SETTINGS = Settings(ledger="sim", state_dir="/nowhere")
SHIPMENTS, ALERTS = SETTINGS.topic_shipments, SETTINGS.topic_alerts
REJECTED, KEPT = SETTINGS.topic_rejected, SETTINGS.topic_settings


class Left(BaseException):
    """The worker leaves by itself: its process ends."""


class Fetcher(ConsumerThread):
    """The product's consumer thread, without a thread and without Kafka's client."""

    def __init__(self, process) -> None:
        self._process = process
        self.positions = {}
        self.consumer = self

    thread_loop = None

    def _ensure_consumer(self):
        return self._process

    async def threadsafe_partitions_revoked(self, _loop, _revoked) -> None:
        """Nobody else is to be told."""

    def _lost(self, why, tp):  # noqa: ARG002
        raise Left(why)


class Parts(WorkerParts):
    """The product's worker; leaving ends a simulated process."""

    async def leave(self, why):
        for mistake in ("unforeseen", "a task failed"):
            if mistake in str(why):
                raise Broken(f"the product did not foresee this: {why}")
        raise Left(why)


class Worker:
    """One process.

    Args:
        world: what it lives in.
        name: a capital letter; a worker that starts again bears the same.

    Attributes:
        tasks: what it does at once, by name.
        queues: topic -> runs that wait for their agent.
        places: partition -> the offset that its consumer fetches next.
    """

    def __init__(self, world, name) -> None:
        self.world, self.name = world, name
        self.frozen = False
        self.joined = False
        self.places: dict[TP, int] = {}
        self.queues: dict[str, deque] = {topic: deque() for topic in (SHIPMENTS, ALERTS, KEPT)}
        self.fetcher = Fetcher(self)
        self._redis = world.client(self)
        with mock.patch.object(streams.worker, "connect", self._connected):
            self.parts = Parts(SETTINGS, self)
        self.handlers = {SHIPMENTS: self.parts.debit, ALERTS: self.parts.deliver, KEPT: self.parts.keep}
        self.tasks: dict[str, Task] = {}
        self.begin("start", self._start())

    @property
    def consumer(self):
        """Of the Faust app, that this stands for."""
        return self

    def _connected(self, _url):
        return self._redis

    def begin(self, name, coroutine):
        """Begin to do something, in the place of what bore that name before."""
        if name in self.tasks:
            self.tasks.pop(name).end()
        self.tasks[name] = Task(coroutine)

    def end(self):
        """The process is dead."""
        for task in self.tasks.values():
            task.end()
        self.tasks.clear()

    async def _start(self):
        kept = KeptSettings(self._redis, SETTINGS.ledger)
        while True:
            try:
                await policy_in_force(SETTINGS, kept, self.world.producer)
                await Jobs(self._redis, SETTINGS.ledger).begin()
            except LedgerUnavailable:
                await happens(lambda: None, rests=True)
            except LedgerError as failure:
                raise Left(failure) from None
            else:
                break
        await happens(lambda: self.world.join(self))
        self.begin("relay", self.parts.relay())
        self.begin("watch", self.parts.watch())

    # --------------------------------------------------------------------------------------------- group and consumer

    def rebalance(self, assigned):
        """The group takes partitions away and gives others; runs that were fetched stay queued."""
        revoked = set(self.places)
        if "positions forgotten" not in self.world.off:
            Task(self.fetcher.on_partitions_revoked(revoked))
        self.places = {tp: self.world.committed.get(tp, 0) for tp in assigned}
        self.begin("seek", self._seek())

    async def _seek(self):
        """As the transport's `perform_seek`; until it is done, the consumer may fetch from where the group was."""
        partitions = self.assignment()
        if "start from Redis" in self.world.off:
            found = {tp: self.world.committed.get(tp, 0) - 1 for tp in partitions}
        else:
            try:
                found = await self.parts.checkpoints(partitions)
            except LedgerError as failure:
                raise Left(failure) from None
        await happens(lambda: None)
        await self.fetcher.start_at({tp: found[tp] for tp in partitions if tp in self.places})

    def seek(self, tp, offset):
        """Of aiokafka's consumer."""
        self.places[tp] = offset

    def fetch(self, random):
        """Take some records off one partition, stamp them, and queue them."""
        lasts, queues = self.world.log.lasts, self.queues
        ready = [
            tp
            for tp, place in self.places.items()
            if place <= lasts.get(tp, -1) and len(queues[tp[0]]) < RUNS_WAITING_MAX
        ]
        if not ready:
            return
        tp = random.choice(sorted(ready))
        records = self.world.log.after(tp, self.places[tp], random.choice((1, 1, 2, 3, 5)))
        self.places[tp] = records[-1].offset + 1
        fetched = self.fetcher._runs(self, {tp: records})
        try:
            fetched.send(None)
        except StopIteration as answer:
            for run in answer.value.get(tp, ()):
                self.queues[tp.topic].append(run)
                self.world.tell(f"{self.name} fetches {_span(run)} of {tp.topic}:{tp.partition}, after {run.prev}")

    async def beginning_offsets(self, partitions):
        """Of aiokafka's consumer."""
        return dict.fromkeys(partitions, 0)

    def assignment(self):
        """Of Faust's consumer."""
        return set(self.places)

    async def highwaters(self, *partitions):
        """Of Faust's consumer."""
        return {tp: self.world.log.ends[tp] for tp in partitions}

    async def fetched_up_to(self, tp):
        """Of the transport's consumer."""
        return self.fetcher.positions.get(tp), self.places.get(tp)

    # --------------------------------------------------------------------------------------------------------- agents

    def work(self):
        """Have every topic's agent take its next run."""
        for topic, runs in self.queues.items():
            if runs and topic not in self.tasks:
                self.begin(topic, self._settle(runs.popleft()))

    async def _settle(self, run):
        handle, tp = self.handlers[run.topic], TP(run.topic, run.partition)
        if "prev stamped at fetch" in self.world.off:
            name = f"{tp.topic}:{tp.partition}"
            checkpoint = (await Position(self._redis, SETTINGS.ledger).checkpoints([name]))[name]
            run = replace(run, prev=min(checkpoint, run.records[0].offset - 1))
        try:
            await self.parts.settle(run, handle)
        except Left as why:
            if "fail-stop" not in self.world.off:
                raise
            self.world.tell(f"{self.name} goes on, although: {why}")
        self.world.committed[tp] = run.last + 1


class Operator:
    """A person at the command line who adopts a policy, and does not always come to an end."""

    name = "operator"
    frozen = False

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}

    begin, end = Worker.begin, Worker.end


class Nothing:
    """An exit note, a pulse: what a process leaves for people."""

    def __init__(self, *_args) -> None:
        pass

    def last(self) -> None:
        return None

    def beat(self) -> None:
        pass

    def read(self) -> dict:
        return {}


@contextmanager
def simulated_edges(world) -> Iterator[None]:
    """Worker parts made inside are made on this world's log, clock and names."""

    @contextmanager
    def open_log(_settings):
        yield world.log_reader

    edges = (
        (streams.worker, "LazyProducer", lambda _: world.producer),
        (streams.worker, "LogIdentity", Nothing),
        (streams.worker, "Pulse", Nothing),
        (streams.worker, "exit_notes", Nothing),
        (streams.worker, "worker_name", lambda: world.starting),
        (streams.worker, "_now", lambda: world.now),
        (streams.keep_settings, "open_log", open_log),
        (streams.keep_settings, "load_policy", lambda *_: world.policies[0]),
        (streams.keep_settings, "adoption", _first_adoption),
        (streams.keep_settings, "read_decision", _read_decision),
        (ledger.book.kept_settings, "read_decision", _read_decision),
        (ledger.book.setting, "policy_from_document", world.policy_of_document),
        (ledger.book.adopted, "policy_from_document", world.policy_of_document),
    )
    with no_event_loop(), ExitStack() as patched:
        for module, name, stand_in in edges:
            patched.enter_context(mock.patch.object(module, name, stand_in))
        yield


# Histories share their few policies: each is read once.
_read_decision = lru_cache(maxsize=256)(ledger.book.kept_settings.read_decision)


def _first_adoption(policy, number, **_told):
    """A new ledger's, at no particular time: the product asks a clock and chance."""
    return _adopted_at_the_beginning(policy, number)


@lru_cache(maxsize=1)
def _adopted_at_the_beginning(policy, number):
    return adoption(policy, number, begins={}, adopted_at=datetime(2024, 12, 1, tzinfo=UTC), token="first")


def _span(run):
    return str(run.last) if len(run.records) == 1 else f"{run.records[0].offset} to {run.last}"

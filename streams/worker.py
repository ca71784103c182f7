"""The worker: a Faust app whose agents debit shipments, deliver alerts and keep settings, and the relay beside them.

Joins parts and decides nothing: reading and judging are `schemas` and `ledger/rules`, posting is `ledger/book`.
"""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn

import faust
from faust.types import TP
from redis.asyncio import Redis

from ledger.book.family import minute_number
from ledger.book.kept_settings import KeptSettings
from ledger.book.outbox import Outbox
from ledger.book.position import Position, partition_name, partition_names
from ledger.book.post import Book
from ledger.book.script import connect
from ledger.errors import LedgerClosed, LedgerError, LedgerUnavailable, PolicyChanged, PositionLost
from ledger.rules.adoptions import Rulebook
from streams.debit_shipments import debit_shipments
from streams.deliver_alerts import deliver_alerts
from streams.exits import EXITS_MAX, ExitNotes
from streams.kafka.identity import LogIdentity
from streams.kafka.producer import LazyProducer
from streams.kafka.run import Run
from streams.kafka.topics import forgetful, missing_topics
from streams.kafka.transport import Consumer, RunSchema
from streams.keep_settings import keep_settings, policy_in_force
from streams.logs import configure_logs
from streams.pulse import Pulse
from streams.relay_outbox import relay_outbox
from streams.settings import Settings
from streams.webhooks.jobs import Jobs

log = logging.getLogger(__name__)

STOPPED = 70
"""Exit code: stopped to lose nothing."""

ASSIGNMENT_PATIENCE_S = 20.0
"""How long an assignment waits for Redis: below `broker_request_timeout`, past which Faust lives on, idle."""

LEAVE_S = 1.0
WATCH_S = 2.0
IDENTITY_EVERY = 3
"""The log's identity is asked every so many watches."""

STAY_OUT_S = 5.0
RECORDS_AHEAD_MAX = 4000
"""Records taken out of what was fetched at once: decoded, they take ten times the room."""

RUNS_WAITING_MAX = 1
"""Runs of a topic that wait for their agent; then the fetcher waits, and what comes meanwhile makes the next runs
longer: the more records a run has, the less each of them costs. This bounds the worker's memory too. With eight, short
runs queued up at 1,000 events a second, and a shipment waited twice as long for its turn."""


def run_worker(settings: Settings) -> None:
    """Run until told to stop.

    Raises:
        LedgerUnavailable: Redis or Kafka is away at the start, or a topic is missing.
        WrongCall: a setting cannot be, or Redis may evict keys.
        SystemExit: the end.
    """
    configure_logs("worker")
    gc.set_threshold(50_000, 20, 100)  # a run keeps a thousand fresh containers alive: fewer young collections
    asyncio.run(_open_ledger(settings))
    app = make_app(settings)
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # writes to the terminal even when quiet
    worker.execute_from_commandline()


async def _open_ledger(settings: Settings) -> None:
    """Everything that must hold before the group is joined."""
    if missing := await asyncio.to_thread(missing_topics, settings):
        raise LedgerUnavailable(f"Kafka has no topic {', '.join(missing)}; run `quota-ledger topics create`")
    if warning := await asyncio.to_thread(forgetful, settings):
        log.warning(warning)
    redis = connect(settings.redis_url.get_secret_value())
    producer = LazyProducer(settings)
    try:
        position = Position(redis, settings.ledger)
        await position.check_redis()
        await _check_log(settings, position)
        await _stay_out_if_stuck(settings, position)
        try:
            policy = await policy_in_force(settings, KeptSettings(redis, settings.ledger), producer)
        except PositionLost as failure:
            await note_exit(settings, position, failure)
            raise
        await Jobs(redis, settings.ledger).begin()
        log.info("ledger %s under policy %s (%s)", settings.ledger, policy.id, policy.sha256)
    finally:
        producer.close()
        await redis.aclose()


async def _check_log(settings: Settings, position: Position) -> None:
    """Before settings are kept: those of another cluster, or a gap of a topic made anew, must not reach this ledger."""
    identity = LogIdentity(settings)
    try:
        await position.check_log(await asyncio.to_thread(identity.read))
    finally:
        identity.close()


async def _stay_out_if_stuck(settings: Settings, position: Position) -> None:
    """A worker that left three times at one checkpoint waits here, outside the group, until the ledger has moved."""
    notes = exit_notes(settings)
    last = notes.last()
    if last is None or last.times < EXITS_MAX:
        return
    log.critical("left %d times at one place, staying out of the group: %s", last.times, last.reason)
    while (await position.checkpoints([last.partition]))[last.partition] == last.checkpoint:
        await position.note_stopped(worker_name(), last.reason)
        await asyncio.sleep(STAY_OUT_S)
    notes.clear()
    await position.clear_stopped(worker_name())


def app_of_runs(name: str, bootstrap: str, **more: Any) -> faust.App:
    """A Faust app whose topics are read in runs (`kafka/transport.py`); `more` is what else it is to be set to."""
    return faust.App(
        name,
        broker=";".join(f"runs://{address}" for address in bootstrap.split(",")),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        stream_buffer_maxsize=RUNS_WAITING_MAX,  # Faust's topics forget a `maxsize` of their own
        stream_wait_empty=False,  # a run may outlive its assignment: the compare-and-set guards it
        consumer_auto_offset_reset="none",
        broker_commit_interval=1.0,
        broker_max_poll_records=RECORDS_AHEAD_MAX,
        **more,
    )


def make_app(settings: Settings) -> faust.App:
    """The Faust app of one worker: three agents and two tasks. Needs a running loop only when started."""
    app = app_of_runs(
        f"quota-ledger-{settings.ledger}",
        settings.kafka_bootstrap,
        datadir=str(settings.state_dir / "faust"),
        consumer_metadata_max_age_ms=15_000,
        broker_session_timeout=settings.kafka_session_s,
        broker_heartbeat_interval=settings.kafka_session_s / 5,
        worker_redirect_stdouts=False,
    )
    app.ledger = parts = WorkerParts(settings, app)

    def add_agent(topic: str, handle: Callable[[Run], Awaitable[None]]) -> None:
        channel = app.topic(topic, schema=RunSchema())

        @app.agent(channel, name=handle.__qualname__.split(".", 1)[0])
        async def agent(stream: Any) -> None:
            stream = stream.noack()
            async for event in stream.events():
                await parts.settle(event.value, handle)
                await stream.ack(event)

    add_agent(settings.topic_shipments, parts.debit)
    add_agent(settings.topic_alerts, parts.deliver)
    add_agent(settings.topic_settings, parts.keep)

    @app.task
    async def relay() -> None:
        await parts.relay()

    @app.task
    async def watch() -> None:
        await parts.watch()

    return app


class WorkerParts:
    """What one worker is made of, and the ways in which it waits or leaves."""

    def __init__(self, settings: Settings, app: Any) -> None:
        self._settings = settings
        self._app = app
        self._producer = LazyProducer(settings)
        self._redis: Redis = connect(settings.redis_url.get_secret_value())
        ledger = settings.ledger
        self._position = Position(self._redis, ledger)
        self._kept = KeptSettings(self._redis, ledger)
        self._outbox = Outbox(self._redis, ledger, relay=f"{worker_name()}/{os.getpid()}")
        self._identity = LogIdentity(settings)
        self._rules: Rulebook | None = None
        self._decided = 0
        self._settled: dict[str, int] = {}
        self._news = asyncio.Event()
        self._exit_notes = exit_notes(settings)
        self._pulse = Pulse(settings.state_dir, "worker")
        self._leaving = False
        self._book = Book(self._redis, ledger, now=_now)
        self._minute = -1
        self.debit = debit_shipments(
            self._book,
            self,
            send_rejects=partial(self._producer.send_all, settings.topic_rejected),
            on_alerts=self._news.set,
        )
        self.deliver = deliver_alerts(Jobs(self._redis, ledger))
        self.keep = keep_settings(self._kept, on_kept=self._hear_of_adoptions)

    async def rules(self) -> Rulebook:
        """The policies that were adopted."""
        if self._rules is None:
            await self._hear_of_adoptions()
            self._rules = await self._kept.adopted.rules()
            if self._rules is None:
                raise PositionLost("Redis holds no policy any more: it was emptied")
        return self._rules

    def forget_rules(self) -> None:
        """There is a newer adoption: read it when it is asked for."""
        self._rules = None

    async def _hear_of_adoptions(self) -> None:
        """Notice a new adoption, and one that Redis lost: at its start, a worker takes that over before it posts."""
        number = await self._kept.adopted.number()
        if number < self._decided:
            raise PositionLost(f"adoption {self._decided} was decided on, and Redis knows of {number}: it went back")
        if number > self._decided:
            log.info("adoption %d is decided on", number)
            self._decided = number
            self.forget_rules()

    async def settle(self, run: Run, handle: Callable[[Run], Awaitable[None]]) -> None:
        """Have an agent's work done on a run, however long Redis or Kafka is away; else leave."""
        delay_s = 0.05
        while True:
            try:
                await handle(run)
            except (LedgerUnavailable, LedgerClosed) as failure:
                log.warning("%s/%d waits: %s", run.topic, run.partition, failure)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, 2.0)
            except LedgerError as failure:
                await self.leave(failure)
            except Exception as failure:  # Faust would swallow it and lose the run
                log.critical("unforeseen", exc_info=failure)
                partition = partition_name(run.topic, run.partition)
                await self.leave(PositionLost(f"{partition}: unforeseen: {failure!r}", partition))
            else:
                self._settled[partition_name(run.topic, run.partition)] = run.last
                return

    async def checkpoints(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Where to begin: the ledger's checkpoints, on the log it was filled from."""
        deadline = asyncio.get_running_loop().time() + ASSIGNMENT_PATIENCE_S
        while True:
            try:
                await self._position.check_log(await asyncio.to_thread(self._identity.read))
                await self._begin_day()
                found = await self._position.checkpoints(partition_names(partitions))
            except LedgerUnavailable as failure:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                log.warning("an assignment waits: %s", failure)
                await asyncio.sleep(0.5)
            else:
                self._settled = dict(found)
                return {tp: found[partition_name(tp.topic, tp.partition)] for tp in partitions}

    async def relay(self) -> None:
        """The relay of this worker; only the holder of the lease does anything."""
        send_alerts = partial(self._producer.send_all, self._settings.topic_alerts)
        await self._or_leave(relay_outbox(self._outbox, send_alerts, news=self._news))

    async def watch(self) -> None:
        """Leave end offsets for readers; notice a Redis that went back and a log that was exchanged, idle or not."""
        turn = 0
        while True:
            await asyncio.sleep(WATCH_S)
            turn += 1
            try:
                if self._settled:
                    await self._watch_once(ask_identity=turn % IDENTITY_EVERY == 0)
                    self._pulse.beat()
            except LedgerUnavailable as failure:
                log.warning("the watch waits: %s", failure)
            except LedgerError as failure:
                await self.leave(failure)
            except Exception as failure:  # noqa: BLE001  a broker that is away, or a partition that has just gone
                log.warning("the watch saw nothing: %r", failure)

    async def _watch_once(self, *, ask_identity: bool) -> None:
        settled = dict(self._settled)
        found = await self._position.checkpoints(sorted(settled))
        for partition, checkpoint in found.items():
            if checkpoint < settled[partition]:
                message = f"{partition}: {settled[partition]} was settled, but the checkpoint is {checkpoint}"
                raise PositionLost(f"{message}: Redis went back, or was emptied", partition)
        await self._hear_of_adoptions()
        if (last := self._exit_notes.last()) and found.get(last.partition, last.checkpoint) != last.checkpoint:
            self._exit_notes.clear()
        consumer: Consumer = self._app.consumer
        shipments = [tp for tp in consumer.assignment() if tp.topic == self._settings.topic_shipments]
        if any(tp.partition == 0 for tp in shipments):
            await self._let_time_pass()
        if shipments:
            ends = {}
            for tp, end in (await consumer.highwaters(*shipments)).items():
                name = partition_name(*tp)
                fetched, following = await consumer.fetched_up_to(tp)
                if fetched is not None and following == end and fetched == self._settled.get(name):
                    end = fetched + 1  # noqa: PLW2901  what lies behind is no record but a marker
                ends[name] = end
            await self._position.note_ends(ends, _now())
        if ask_identity:
            await self._position.check_log(await asyncio.to_thread(self._identity.read))

    async def _begin_day(self) -> None:
        """Have the ledger know the day before anything is posted: it is measured by the caps of that day.

        Reservations whose time is over expire a little later: those that are about to be posted may be among them.
        """
        today = _now().date()
        await self._passed(lambda rules: self._book.begin_day(today, rules=rules))

    async def _let_time_pass(self) -> None:
        """One tick a minute, by the worker that holds the first partition of shipments."""
        minute = minute_number(_now())
        if minute > self._minute and await self._passed(lambda rules: self._book.tick(minute, rules=rules)):
            self._minute = minute

    async def _passed(self, step: Callable[[Rulebook], Awaitable[int]]) -> bool:
        """Whether a step of the ledger's time is done; if not, it is to be tried again."""
        try:
            alert_count = await step(await self.rules())
        except PolicyChanged:
            self.forget_rules()
        except LedgerClosed as failure:
            log.warning("time waits: %s", failure)
        else:
            if alert_count:
                self._news.set()
            return True
        return False

    async def _or_leave(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as failure:  # a task that ends unseen would leave alerts lying
            log.critical("a task failed", exc_info=failure)
            await self.leave(LedgerError(f"a task failed: {failure!r}"))

    async def leave(self, why: LedgerError) -> NoReturn:
        """Leave the group, so that others go on at once, and end with exit code 70; a supervisor starts it again."""
        if self._leaving:
            await asyncio.Event().wait()
        self._leaving = True
        log.critical("leaving: %s", why)
        try:
            if isinstance(why, PositionLost):
                await asyncio.wait_for(note_exit(self._settings, self._position, why), LEAVE_S)
            await asyncio.wait_for(self._app.consumer.leave_group(), LEAVE_S)
        except Exception as failure:  # noqa: BLE001  going is what matters
            log.warning("left without a word: %r", failure)
        finally:
            logging.shutdown()
            os._exit(STOPPED)


async def note_exit(settings: Settings, position: Position, why: PositionLost) -> None:
    """Note over which partition this worker leaves; readers are told if it would be the same again and again."""
    if why.partition:
        checkpoint = (await position.checkpoints([why.partition]))[why.partition]
        noted = exit_notes(settings).add(str(why), why.partition, checkpoint)
        if noted.times >= EXITS_MAX:
            await position.note_stopped(worker_name(), str(why))


def exit_notes(settings: Settings) -> ExitNotes:
    """The file in which this worker notes its exits."""
    return ExitNotes(settings.state_dir / f"exits-{settings.ledger}-{worker_name()}.json")


def worker_name() -> str:
    """By what name this worker is known to people: its host's."""
    return socket.gethostname()


def _now() -> datetime:
    return datetime.now(UTC)

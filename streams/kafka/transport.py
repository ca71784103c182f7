"""Faust's Kafka transport, with one message for each run of records instead of one for each record.

Agents, consumer group, rebalance and commits stay Faust's; its price of some 165 µs a message is paid once a run. Where
a run begins and what was delivered before it is noted on the consumer's thread, where the records are fetched. The
ledger's checkpoints, not the group's committed offsets, say where to begin; what is committed serves lag displays.

Whatever could skip a record ends the process (`Leave`): it leaves the group, so that others go on at once, and its
supervisor starts it again from the checkpoint.

Every topic of an app on this transport is read in runs. It leans on names of faust-streaming 0.15 and aiokafka 0.14
that are not public; `tests/contracts/test_upstream_names.py` holds each of them.
"""
# ruff: noqa: SLF001  see above

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn, Protocol

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import (
    InvalidSessionTimeoutError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode import Service

from ledger.book.position import partition_name
from ledger.errors import LedgerError, LedgerUnavailable, PositionLost
from streams.kafka.run import Record, Run, UnreadableRecord

RECORDS_MAX = 1000
"""Records in a run: a script call of about 3 ms."""

BYTES_MAX = 1_000_000
"""Bytes of values in a run, so that a call stays small whatever producers send."""

FETCH_WAIT_MS = 200
"""How long a broker may hold an empty fetch. Faust's 1,500 delays every other question on an idle topic as long."""

WATCH_S = 1.0
CAREFUL_S = 0.05

ASSIGNMENT_MAX_S = 30.0
"""How long a start may take to be found: below `broker_request_timeout`, past which Faust lives on, idle."""

GIVE_UP = "Put them back, or give them up for good: quota-ledger accept-gap"
"""What to do when records were deleted before they were applied."""


class Ledger(Protocol):
    """What the transport asks of the worker that runs on it."""

    async def checkpoints(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """The last settled offset of each partition, -1 where there is none. Waits for Redis, within bounds.

        Raises:
            LedgerError: no start can be given now.
        """

    async def leave(self, why: LedgerError) -> NoReturn:
        """Leave the group and end the process."""


def _as_it_was_fetched(_: PartitionRecords, __: TP, record: Record) -> Record:
    """Aiokafka's own record, not copied into a dataclass of eleven fields: that is half the price of fetching."""
    return record


PartitionRecords._consumer_record = _as_it_was_fetched


class RunSchema(Schema):  # type: ignore[misc]
    """A run reaches its agent untouched."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """A run has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002
        """The run itself."""
        return message.value


class RoundRobin:
    """Hands out the runs of a fetch, one of each partition in turn."""

    def iterate(self, fetched: Mapping[TP, list[Run]]) -> Iterator[tuple[TP, Run]]:
        """(partition, run) until nothing is left."""
        waiting = {tp: iter(runs) for tp, runs in fetched.items()}
        while waiting:
            for tp, runs in list(waiting.items()):
                if (run := next(runs, None)) is None:
                    del waiting[tp]
                else:
                    yield tp, run


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Where records are fetched and stamped with the position they were fetched at."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.positions: dict[TP, int] = {}
        self._careful = False

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = "read_committed"  # what a transaction took back was never shipped
        return consumer

    async def start_at(self, checkpoints: Mapping[TP, int]) -> None:
        """Seek behind the checkpoints; from now on, and only now, positions are known."""
        for tp, checkpoint in checkpoints.items():
            self._ensure_consumer().seek(tp, checkpoint + 1)
            self.positions[tp] = checkpoint

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget where we stood: what is fetched before the next seek is dropped, and the seek brings it again."""
        for tp in revoked:
            self.positions.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> dict[TP, list[Run]]:
        try:
            if self._careful:
                fetched = await self._fetch_one_by_one(consumer)
            else:
                fetched = await super()._fetch_records(consumer, *args, **kwargs)
        except NoOffsetForPartitionError:
            return {}  # assigned, not sought yet
        except OffsetOutOfRangeError as failure:
            self._lost(f"the log begins after the next record: {failure}. {GIVE_UP}", None)
        except KafkaError as failure:
            self._lost(f"records cannot be fetched: {failure!r}", None)
        except UnicodeDecodeError:  # a header's name is no text; what was fetched beside it is lost, so fetch it again
            for tp, last in self.positions.items():
                consumer.seek(tp, last + 1)
            self._careful = True
            return {}
        return await self._runs(consumer, fetched)

    async def _fetch_one_by_one(self, consumer: Any) -> dict[TP, list[Record]]:
        """One record of each partition, until the one is found that cannot be taken apart; that one is stood in for."""
        found: dict[TP, list[Record]] = {}
        for tp in [tp for tp in consumer._fetcher._records if tp in self.positions]:
            try:
                found |= await super()._fetch_records(consumer, {tp}, timeout=0, max_records=1)
            except UnicodeDecodeError:
                offset = consumer._subscription.subscription.assignment.state_value(tp).position
                consumer.seek(tp, offset + 1)
                found[tp] = [
                    UnreadableRecord(offset, "the name of a header is not UTF-8; the record lies where it was")
                ]
                self._careful = False
        if not found:
            await asyncio.sleep(CAREFUL_S)
        return found

    async def _runs(self, consumer: Any, fetched: Mapping[TP, list[Record]]) -> dict[TP, list[Run]]:
        """Records as they were fetched -> runs, stamped with what was delivered before them."""
        runs: dict[TP, list[Run]] = {}
        gaps: list[tuple[TP, int]] = []
        for tp, records in fetched.items():  # no await before this: stamped in the same breath as fetched
            prev = self.positions.get(tp)
            if prev is None:
                continue
            if records[0].offset <= prev:
                self._lost(f"offset {records[0].offset} came after {prev}", tp)
            if records[0].offset != prev + 1:
                gaps.append((tp, prev))
            runs[tp] = list(cut(tp, prev, records))
            self.positions[tp] = records[-1].offset
        for tp, prev in gaps:
            begin = (await consumer.beginning_offsets([tp]))[tp]
            if begin > prev + 1:
                self._lost(f"{prev + 1} to {begin - 1} were deleted before they were applied. {GIVE_UP}", tp)
        return runs

    def _lost(self, why: str, tp: TP | None) -> NoReturn:
        lost = PositionLost(f"{_named(tp)}: {why}", _named(tp)) if tp else PositionLost(why)
        asyncio.run_coroutine_threadsafe(self.app.ledger.leave(lost), self.parent_loop)
        raise lost

    @Service.task
    async def _watch_coordinator(self) -> None:
        """Read the coordinator's errors: aiokafka parks it until somebody does, and Faust never does."""
        async for _ in self.itertimer(WATCH_S, name="watch-coordinator"):
            coordinator = self._consumer and self._consumer._coordinator
            try:
                if coordinator:
                    coordinator.check_errors()  # reading it lets the coordinator rejoin
            except KafkaError as failure:
                self.log.warning("group coordinator: %r", failure)
                if isinstance(failure, InvalidSessionTimeoutError):
                    self._lost(
                        "the broker refuses QUOTA_KAFKA_SESSION_S: raise it to group.min.session.timeout.ms", None
                    )
                if coordinator._coordination_task.done():
                    self._lost(f"the group coordinator ended: {failure!r}", None)


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, with runs for messages and the ledger's checkpoints for committed offsets."""

    _thread: ConsumerThread

    def __init__(self, transport: Any, callback: Callable[[Any], Awaitable[None]], *args: Any, **kwargs: Any) -> None:
        self._delivered: dict[TP, deque[int]] = defaultdict(deque)

        async def deliver(message: Any) -> None:
            self._delivered[message.tp].append(message.offset)
            await callback(message)

        super().__init__(transport, deliver, *args, **kwargs)
        self.scheduler = RoundRobin()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
        run: Run = record
        newest = run.records[-1]
        return ConsumerMessage(
            run.topic, run.partition, run.last, newest.timestamp / 1000.0, 0, (), None, run, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def perform_seek(self) -> None:
        """Begin behind the ledger's checkpoints, or not at all."""
        partitions = self.assignment()
        if not partitions:
            return
        try:
            checkpoints = await asyncio.wait_for(self._starts(partitions), ASSIGNMENT_MAX_S)
        except LedgerError as failure:
            await self.app.ledger.leave(failure)
        except (TimeoutError, KafkaError) as failure:
            await self.app.ledger.leave(LedgerUnavailable(f"Kafka gave no start within bounds: {failure!r}"))
        await self._thread.call_thread(self._thread.start_at, checkpoints)
        for tp in partitions:
            self._read_offset[tp] = self._committed_offset[tp] = None
            self._acked[tp].clear()
            self._acked_index[tp].clear()
        self._delivered.clear()

    async def _starts(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        checkpoints: Mapping[TP, int] = await self.app.ledger.checkpoints(partitions)
        begins = await self.earliest_offsets(*partitions)
        ends = await self.highwaters(*partitions)
        for tp, checkpoint in checkpoints.items():
            _check_start(tp, checkpoint, begins[tp], ends[tp])
        return checkpoints

    async def fetched_up_to(self, tp: TP) -> tuple[int | None, int | None]:
        """The last offset that was fetched of a partition, and the one that is fetched next: markers lie between."""
        return self._thread.positions.get(tp), await self._thread.position(tp)

    async def leave_group(self) -> None:
        """Tell the broker that this member goes, so that the others need not wait for its session to end."""
        consumer = self._thread._consumer
        if consumer is not None:
            await self._thread.call_thread(consumer._coordinator._maybe_leave_group)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was delivered of them."""
        for tp in revoked:
            self._delivered.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    def _new_offset(self, tp: TP) -> int | None:
        """What may be committed: the end of the oldest runs that are acknowledged without a gap, in delivery order."""
        delivered, acknowledged, last = self._delivered[tp], self._acked_index[tp], None
        while delivered and delivered[0] in acknowledged:
            last = delivered.popleft()
            acknowledged.discard(last)
        if last is None:
            return None
        self._acked[tp][:] = [offset for offset in self._acked[tp] if offset > last]
        return last + 1

    def on_buffer_full(self, tp: TP) -> None:
        """A full queue makes the fetcher wait. Faust would fetch other partitions meanwhile, or sleep a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As nothing was held back."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Order of delivery says what may be committed; gaps say nothing."""

    async def on_task_error(self, exc: BaseException) -> None:
        """An agent that raises would lose its run: Faust acknowledges it and goes on. So the process ends."""
        await self.app.ledger.leave(LedgerError(f"an agent failed: {exc!r}"))


class Transport(driver.Transport):  # type: ignore[misc]
    """Named by the broker URL `runs://host:port`."""

    Consumer = Consumer


TRANSPORTS.aliases["runs"] = f"{__name__}:Transport"


def cut(tp: TP, prev: int, records: list[Record]) -> Iterator[Run]:
    """Records fetched together -> runs of at most `RECORDS_MAX` and about `BYTES_MAX`, each with what came before."""
    begin, size = 0, 0
    for number, record in enumerate(records):
        length = len(record.value) if record.value else 0
        if number > begin and (number - begin == RECORDS_MAX or size + length > BYTES_MAX):
            yield Run(tp.topic, tp.partition, prev, records[begin:number])
            prev, begin, size = records[number - 1].offset, number, 0
        size += length
    yield Run(tp.topic, tp.partition, prev, records[begin:])


def _named(tp: TP) -> str:
    return partition_name(tp.topic, tp.partition)


def _check_start(tp: TP, checkpoint: int, begin: int, end: int) -> None:
    if checkpoint + 1 < begin:
        raise PositionLost(
            f"{_named(tp)}: the log begins at {begin}, but {checkpoint + 1} is to be applied next: "
            f"records were deleted before they were applied. {GIVE_UP}",
            _named(tp),
        )
    if checkpoint + 1 > end:
        raise PositionLost(
            f"{_named(tp)}: the log ends at {end}, but the ledger has applied {checkpoint}: the topic was "
            "made anew, or this is another cluster. Point it at its own cluster and topics, or start another ledger "
            "(QUOTA_LEDGER)",
            _named(tp),
        )

"""(h) quota-ledger's transport and nothing on it: an agent that counts a run's records and acknowledges it.

Its ledger knows no checkpoints, so it begins at offset 0. The app's settings are the worker's, as far as they bear on
the way of a record.
"""

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import faust
from faust.types import TP

from ledger.errors import LedgerError
from streams.kafka.transport import RunSchema
from streams.worker import RECORDS_AHEAD_MAX, RUNS_WAITING_MAX
from tests.benchmarks.candidates.naive_faust import start
from tests.benchmarks.job import Job, Meter


class NoLedger:
    """What the transport asks of a worker."""

    async def checkpoints(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, -1)

    async def leave(self, why: LedgerError) -> NoReturn:
        raise why


def run(job: Job, meter: Meter) -> None:
    app = faust.App(
        job.ledger,
        broker=f"runs://{job.bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        stream_buffer_maxsize=RUNS_WAITING_MAX,
        stream_wait_empty=False,
        consumer_auto_offset_reset="none",
        broker_commit_interval=1.0,
        broker_max_poll_records=RECORDS_AHEAD_MAX,
    )
    app.ledger = NoLedger()

    @app.agent(app.topic(job.topic, schema=RunSchema()))
    async def count(stream: Any) -> None:
        stream = stream.noack()
        async for event in stream.events():
            meter.add(len(event.value.records))
            await stream.ack(event)

    start(app)

"""(h) quota-ledger's transport and nothing on it: an agent that counts a run's records and acknowledges it.

Its ledger knows no checkpoints, so it begins at offset 0. The app is made as the worker's is.
"""

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from faust.types import TP

from ledger.errors import LedgerError
from streams.kafka.transport import RunSchema
from streams.worker import app_of_runs
from tests.benchmarks.candidates.naive_faust import start
from tests.benchmarks.job import Job, Meter


class NoLedger:
    """What the transport asks of a worker."""

    async def checkpoints(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, -1)

    async def leave(self, why: LedgerError) -> NoReturn:
        raise why


def run(job: Job, meter: Meter) -> None:
    app = app_of_runs(job.ledger, job.bootstrap)
    app.ledger = NoLedger()

    @app.agent(app.topic(job.topic, schema=RunSchema()))
    async def count(stream: Any) -> None:
        stream = stream.noack()
        async for event in stream.events():
            meter.add(len(event.value.records))
            await stream.ack(event)

    start(app)

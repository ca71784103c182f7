"""(c) quota-ledger's worker as the command starts it: group, transport, debit, relay, alerts, settings, watch.

The only thing added is a count after each run that the ledger has taken.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from streams import worker
from streams.kafka.run import Run
from streams.settings import load_settings
from tests.benchmarks.job import Job, Meter

Handle = Callable[[Run], Awaitable[None]]


def run(job: Job, meter: Meter) -> None:
    make_debit = worker.debit_shipments

    def make_counted(*parts: Any, **more: Any) -> Handle:
        return counted(make_debit(*parts, **more), meter)

    worker.debit_shipments = make_counted
    worker.run_worker(load_settings(job.settings))


def counted(handle: Handle, meter: Meter) -> Handle:
    """The agent's work, its events counted once the ledger has them."""

    async def debit_shipments(run: Run) -> None:
        await handle(run)
        meter.add(len(run.records))

    return debit_shipments

"""(d) Faust as its guide begins: an agent, a message at a time, one awaited Redis call an event."""

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from redis.asyncio import Redis

from tests.benchmarks.candidates.debit import Debit, check
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    debit, redis = Debit(job), Redis.from_url(job.redis_url)

    async def one_by_one(values: Any) -> None:
        async for value in values:
            check([await debit.book(redis, debit.read(value), value)])
            meter.add(1)

    run_agent(job, one_by_one)


def run_agent(job: Job, agent: Callable[[Any], Awaitable[None]]) -> None:
    """Start a Faust worker, its settings left as they are, with this agent on the topic."""
    app = faust.App(
        job.ledger,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
    )
    app.agent(app.topic(job.topic))(agent)
    start(app)


def start(app: faust.App) -> None:
    """Run an app's worker until the process is ended."""
    worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True)
    worker.spinner = None  # writes to the terminal even when quiet
    worker.execute_from_commandline()

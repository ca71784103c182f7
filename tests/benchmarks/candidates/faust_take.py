"""(e) Faust's `take`, which buffers events for the agent: one pipeline of calls for up to a thousand of them."""

from typing import Any

from redis.asyncio import Redis

from tests.benchmarks.candidates.debit import BATCH_MAX, Debit, check
from tests.benchmarks.candidates.naive_faust import run_agent
from tests.benchmarks.job import Job, Meter

WITHIN_S = 0.1
"""How long `take` waits for a batch to fill up."""


def run(job: Job, meter: Meter) -> None:
    debit, redis = Debit(job), Redis.from_url(job.redis_url)

    async def in_batches(stream: Any) -> None:
        async for values in stream.take(BATCH_MAX, within=WITHIN_S):
            check(await debit.book_all(redis, [(debit.read(value), value) for value in values]))
            meter.add(len(values))

    run_agent(job, in_batches)

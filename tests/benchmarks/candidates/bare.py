"""(a) aiokafka's own consumer: whole fetches by `getmany`, records counted and dropped. The floor for any Python."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    asyncio.run(consume(job, meter, lambda _: None))


async def consume(job: Job, meter: Meter, handle: Callable[[Sequence[Any]], None]) -> None:
    """Read the whole topic without a group, handing on the records of each partition's fetch."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=job.bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(job.topic, number) for number in await _partitions(consumer, job.topic)]
        consumer.assign(partitions)
        while not meter.done:
            fetched = await consumer.getmany(timeout_ms=1000)
            for records in fetched.values():
                handle(records)
                meter.add(len(records))
    finally:
        await consumer.stop()


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    return consumer._client.cluster.partitions_for_topic(topic) or set()

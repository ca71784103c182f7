"""(fb) FastStream in batches: up to a thousand messages for one call of the handler, and one pipeline of Redis calls.

The offsets are committed once the batch is booked, the policy its docs name for at-least-once.
"""

import asyncio
import logging

from faststream import AckPolicy, FastStream, NoCast
from faststream.kafka import KafkaBroker, KafkaMessage
from redis.asyncio import Redis

from schemas.shipment_event import ShipmentEvent
from tests.benchmarks.candidates.debit import BATCH_MAX, Debit, check
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    debit, redis = Debit(job), Redis.from_url(job.redis_url)
    broker = KafkaBroker(job.bootstrap, logger=logging.getLogger(__name__))

    async def read_all(message: KafkaMessage) -> list[ShipmentEvent]:
        return [debit.read(value) for value in message.body]

    @broker.subscriber(
        job.topic,
        group_id=job.ledger,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=read_all,
        batch=True,
        max_records=BATCH_MAX,
    )
    async def batch(events: NoCast[list[ShipmentEvent]], message: KafkaMessage) -> None:
        check(await debit.book_all(redis, zip(events, message.body, strict=True)))
        meter.add(len(events))

    asyncio.run(FastStream(broker).run())

"""(f) FastStream, a message at a time: our reader as its decoder, one awaited Redis call an event.

The offset is committed once the event is booked, the policy its docs name for at-least-once.
"""

import asyncio
import logging

from faststream import AckPolicy, FastStream, NoCast
from faststream.kafka import KafkaBroker, KafkaMessage
from redis.asyncio import Redis

from schemas.shipment_event import ShipmentEvent
from tests.benchmarks.candidates.debit import Debit, check
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    debit, redis = Debit(job), Redis.from_url(job.redis_url)
    broker = KafkaBroker(job.bootstrap, logger=logging.getLogger(__name__))

    async def read(message: KafkaMessage) -> ShipmentEvent:
        return debit.read(message.body)

    @broker.subscriber(
        job.topic,
        group_id=job.ledger,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=read,
    )
    async def one(event: NoCast[ShipmentEvent], message: KafkaMessage) -> None:
        check([await debit.book(redis, event, message.body)])
        meter.add(1)

    asyncio.run(FastStream(broker).run())

"""(g) Quix Streams, a message at a time: an update of its data frame that reads the event and calls Redis.

Its defaults hold: at least once, offsets committed every five seconds.
"""

import tempfile

from quixstreams import Application
from redis import Redis

from tests.benchmarks.candidates.debit import Debit, check
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    debit, redis = Debit(job), Redis.from_url(job.redis_url)

    def one(value: bytes) -> None:
        check([debit.book(redis, debit.read(value), value)])
        meter.add(1)

    with tempfile.TemporaryDirectory() as folder:
        app = application(job, folder)
        app.dataframe(app.topic(job.topic, value_deserializer="bytes")).update(one)
        app.run()


def application(job: Job, folder: str, **more: int) -> Application:
    """An app in a consumer group of its own, from the beginning of the log."""
    return Application(
        broker_address=job.bootstrap,
        consumer_group=job.ledger,
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
        **more,
    )

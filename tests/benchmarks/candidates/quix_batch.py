"""(gb) Quix Streams with a batching sink, as its docs advise for databases: one pipeline of Redis calls a checkpoint.

A checkpoint is made every thousand messages; its offsets are committed once the sink has written.
"""

import tempfile

from quixstreams.sinks import BatchingSink, SinkBatch
from redis import Redis

from tests.benchmarks.candidates.debit import BATCH_MAX, Debit, check
from tests.benchmarks.candidates.quix_one import application
from tests.benchmarks.job import Job, Meter


class DebitSink(BatchingSink):
    """Books what is sunk, once a checkpoint and partition."""

    def __init__(self, job: Job, meter: Meter) -> None:
        super().__init__()
        self._debit, self._redis, self._meter = Debit(job), Redis.from_url(job.redis_url), meter

    def write(self, batch: SinkBatch) -> None:
        read = self._debit.read
        check(self._debit.book_all(self._redis, ((read(item.value), item.value) for item in batch)))
        self._meter.add(batch.size)


def run(job: Job, meter: Meter) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = application(job, folder, commit_every=BATCH_MAX)
        app.dataframe(app.topic(job.topic, value_deserializer="bytes")).sink(DebitSink(job, meter))
        app.run()

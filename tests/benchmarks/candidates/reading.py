"""(b2) The same loop, every record read by quota-ledger's reader. Each event is let go before the next is read."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.cloudevents import read_event
from tests.benchmarks.candidates.bare import consume
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    source = f"/kafka/{job.topic}"

    def read(records: Sequence[Any]) -> None:
        for record in records:
            recorded_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            read_event(record.value, record.headers, default_source=source, recorded_at=recorded_at)

    asyncio.run(consume(job, meter, read))

"""Prints the OpenAPI document: `python -m streams.api.publish` writes it into `schemas/published/`.

It is that of an endpoint which asks for keys. A test fails where the published file differs from what the code says.
"""

import json
from datetime import UTC, datetime

from ledger.book.read import Reader
from ledger.book.script import connect
from schemas.publish import FOLDER
from streams.api.app import create_app
from streams.api.key_ring import KeyRing
from streams.kafka.producer import LazyProducer
from streams.settings import Settings
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs

FILE = FOLDER / "openapi.json"


def published_openapi() -> str:
    """The document's text. Nothing is connected to."""
    settings = Settings()
    redis, ledger = connect(settings.redis_url.get_secret_value()), settings.ledger

    def never() -> datetime:
        return datetime.min.replace(tzinfo=UTC)

    app = create_app(
        settings,
        reader=Reader(redis, ledger, now=never),
        feed=Feed(redis, ledger),
        jobs=Jobs(redis, ledger),
        keys=KeyRing(redis, ledger),
        producer=LazyProducer(settings),
        clock=never,
    )
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(published_openapi())

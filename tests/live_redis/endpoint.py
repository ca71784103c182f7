"""The endpoint of one ledger on a real Redis, called without a server in between, or by a real one."""

import asyncio

import httpx2
import uvicorn

from ledger.book.read import Reader
from ledger.errors import LedgerUnavailable
from streams.api.app import create_app
from streams.api.key_ring import KeyRing
from streams.webhooks.feed import Feed
from streams.webhooks.jobs import Jobs


class Topic(list):
    """A producer that keeps what it is given; `away` makes it refuse."""

    away = False

    def send_all(self, topic, records):
        if self.away:
            raise LedgerUnavailable("Kafka is away: nothing listens at 127.0.0.1:1")
        self.extend((topic, *record) for record in records)
        return len(self)


def endpoint(redis, ledger, settings, *, producer=None, clock):
    """The application."""
    return create_app(
        settings,
        reader=Reader(redis, ledger, now=clock),
        feed=Feed(redis, ledger),
        jobs=Jobs(redis, ledger),
        keys=KeyRing(redis, ledger),
        producer=Topic() if producer is None else producer,
        clock=clock,
        copies_max_age_s=0,
    )


def caller(app, host="127.0.0.1"):
    """A client of an application: what goes wrong in it is answered, not raised."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}:8080")


class Server(uvicorn.Server):
    """A real server, for as long as an `async with`; on a free port, unless one is named.

    Attributes:
        address: its URL, without a slash at the end.
        serving: the task that ends with it.
    """

    def __init__(self, app, port=0):
        super().__init__(
            uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
        )
        self._listening = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self._listening.set()

    async def __aenter__(self):
        self.serving = asyncio.create_task(self.serve())
        await self._listening.wait()
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_):
        self.should_exit = True
        await self.serving

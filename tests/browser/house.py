"""The page of one ledger, served from a real Redis to a real Chromium, which notes everything it complains about."""

from contextlib import asynccontextmanager

from pydantic import SecretStr

from streams.settings import Settings
from tests.builders import shipment_document
from tests.live_redis.booking import NOW, open_desk
from tests.live_redis.endpoint import Server, caller, endpoint

H100 = 15_832


class House:
    """A ledger, what its worker would do to it, its endpoint, and a browser that looks at it."""

    def __init__(self, desk, redis, ledger, auth):
        self.desk, self.redis, self.told = desk, redis, 0
        settings = Settings(ledger=ledger, auth=auth, secret_key=SecretStr("a key of the tests"))
        self.app = endpoint(redis, ledger, settings, clock=lambda: NOW)

    async def ship(self, country, quantity, *, shipped_at="2026-03-01T00:00:00Z", **told):
        """Post a shipment, and tell what its booking raised."""
        told = {"id": f"e-{self.desk.ends[0]}"} | told
        document = shipment_document(destination=country, quantity=quantity, shipped_at=shipped_at, **told)
        await self.desk.post(0, [document])
        for alert in (await self.desk.alerts())[self.told :]:
            self.told += 1
            fields = {"kind": alert.kind, "country": alert.country or "", "alert": alert.model_dump_json()}
            await self.redis.xadd(self.desk.keys.alerts, fields, id=f"{self.told}-0")

    async def quota(self, country):
        """Its balance, as the endpoint answers it."""
        async with caller(self.app) as http:
            return (await http.get(f"/v1/quotas/{country}")).json()

    @asynccontextmanager
    async def serve(self, port=0):
        """Its address, while it is served; on a free port, unless one is named."""
        async with Server(self.app, port) as server:
            self.address = f"{server.address}/"
            yield self


@asynccontextmanager
async def house(redis, ledger, auth="off", policy="annual"):
    """A house of a new ledger."""
    async with House(await open_desk(redis, ledger, policy), redis, ledger, auth).serve() as served:
        yield served


@asynccontextmanager
async def opened(browser, address, **context):
    """The page at an address, and a list of its errors, console messages and refusals by its content policy."""
    context = await browser.new_context(**context)
    page = await context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text) if said.type in {"error", "warning"} else None)
    await page.goto(address)
    yield page
    await context.close()

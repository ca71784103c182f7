"""The examples of the published documents are real: the same calls of a ledger of today are answered alike.

`KEEP_EXAMPLES=1 pytest -n 0 tests/live_redis/test_examples.py` writes them anew; then `python -m schemas.publish`
and `python -m streams.api.publish`.
"""

import json
import os
import re
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from streams.settings import Settings
from tests.builders import a_line, on, shipment_document
from tests.live_redis.booking import NOW, open_desk
from tests.live_redis.endpoint import caller, endpoint
from tests.live_redis.test_deliveries import Desk as DeliveryDesk
from tests.live_redis.test_deliveries import Record, Run

KEPT = Path(__file__).parents[2] / "schemas" / "examples.json"
DRAWN = re.compile(r"whsec_[\w+/=-]+|[0-9a-f]{8,}")
"""What is drawn by lot, or follows from all that a policy says."""

ACME = "/logistics/acme"
SHIPMENT = shipment_document(
    id="evt-1", source=ACME, shipped_at="2026-11-20T22:10:00Z", lines=[a_line(quantity=64)],
    consignee={"name": "Example Cloud", "country": "IN", "headquarters": "IN"},
)  # fmt: skip
ASCEND = shipment_document(id="evt-2", source=ACME, lines=[a_line("Ascend 910C", 8, "Huawei")])
WEBHOOK = {"url": "https://203.0.113.7/hook", "kinds": ["quota.near_cap", "tier3.shipment"]}


async def asked(redis, ledger):
    """Each call, its answer, and of a body what it was."""
    desk = await open_desk(redis, ledger)
    for week in range(12):
        day = on((NOW - timedelta(days=7 * week + 3)).date())
        quantity = 3000 + week * 977 % 700
        await desk.post(0, [shipment_document(id=f"evt-w{week}", source=ACME, shipped_at=day, quantity=quantity)])
    await desk.post(0, [SHIPMENT, ASCEND])
    alerts = [Record(number, alert.model_dump_json().encode()) for number, alert in enumerate(await desk.alerts())]
    settings = Settings(
        ledger=ledger, auth="off", secret_key=SecretStr("a key of the tests"), webhook_allow="0.0.0.0/0"
    )
    await DeliveryDesk(redis, settings).deliver(Run("alerts", 0, -1, alerts))
    async with caller(endpoint(redis, ledger, settings, clock=lambda: NOW)) as http:
        for method, path, request, query, parts in (
            ("GET", "/v1/quotas", None, "?status=near_cap", {}),
            ("GET", "/v1/quotas/{iso2}", None, "", {"iso2": "IN"}),
            ("GET", "/v1/quotas/{iso2}", None, "", {"iso2": "UK"}),
            ("GET", "/v1/quotas/{iso2}/entries", None, "?limit=2", {"iso2": "IN"}),
            ("GET", "/v1/alerts", None, "?limit=2", {}),
            ("GET", "/v1/decisions", None, "?source=/logistics/acme&id=evt-1", {}),
            ("GET", "/v1/decisions", None, "?source=/logistics/acme&id=evt-9", {}),
            ("POST", "/v1/assessments", SHIPMENT | {"id": "what-if-1"}, "", {}),
            ("POST", "/v1/shipments", SHIPMENT, "", {}),
            ("POST", "/v1/shipments", [SHIPMENT | {"data": SHIPMENT["data"] | {"destination": "UK"}}], "", {}),
            ("POST", "/v1/webhooks", WEBHOOK, "", {}),
            ("GET", "/v1/webhooks", None, "", {}),
        ):
            answer = await http.request(method, path.format(**parts) + query, json=request)
            yield told(method, path, answer, request)
    meters = await open_desk(redis, f"{ledger}-meters", "diffusion")
    await meters.post(0, [SHIPMENT | {"data": SHIPMENT["data"] | {"authorization": {"kind": "lpp"}}}])
    settings = settings.model_copy(update={"ledger": f"{ledger}-meters"})
    async with caller(endpoint(redis, settings.ledger, settings, clock=lambda: NOW)) as http:
        yield told("GET", "/v1/accounts", await http.get("/v1/accounts"))


def told(method, path, answer, request=None):
    """A call as the file keeps it."""
    kept = {"method": method, "path": path, "status": answer.status_code, "answer": answer.json()}
    return kept | ({"request": request} if request and answer.is_success else {})


async def test_the_examples_are_what_a_ledger_answers(redis, ledger):
    found = json.dumps([one async for one in asked(redis, ledger)], indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("KEEP_EXAMPLES"):
        KEPT.write_text(found)

    assert DRAWN.sub("…", KEPT.read_text()) == DRAWN.sub("…", found)

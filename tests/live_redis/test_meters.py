"""The other meters on a real Redis: told once each, and the same balances whatever the order of events."""

import json
from datetime import UTC, datetime
from itertools import permutations

import pytest

from ledger.book.judged import Judged
from ledger.book.outbox import Outbox
from ledger.book.post import Book
from ledger.book.read import Reader
from ledger.policy import load_policy
from ledger.rules.assess import assess
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from tests.builders import on, raw_shipment
from tests.live_redis.adopting import adopt

PARTITION = "shipments:3"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = load_policy("diffusion-2025")
WATCHED = ("lpp.near_limit", "lpp.exceeded", "nveu.exceeded", "uveu.exceeded")


def shipment(kind, tpp, day="2026-03-01", *, holdings=None, **told):
    lines = [{"quantity": 1, "tpp_each": tpp}]
    consignee = {"id": "lei:1", "headquarters": "IN", "country": "IN"}
    channel = {"kind": kind, "holdings_tpp": holdings}
    return {"shipped_at": on(day), "lines": lines, "consignee": consignee, "authorization": channel, **told}


class Desk:
    """A book on one ledger under the rule as published, which posts each shipment in a run of its own."""

    def __init__(self, redis, ledger):
        self.redis, self.ledger, self.count = redis, ledger, 0
        self.book = Book(redis, ledger, now=lambda: NOW)
        self.reader = Reader(redis, ledger, now=lambda: NOW)
        self.outbox = Outbox(redis, ledger, relay="test")

    async def adopt(self):
        self.rules = await adopt(self.redis, self.ledger, POLICY)

    async def post(self, *shipments):
        items = []
        for told in shipments:
            value = raw_shipment(id=f"evt-{self.count}", **told)
            event = read_event(value, default_source="/tests")
            items.append(Judged.of(self.count, 1_770_000_000_000, value, (), event=event, judged=assess(event, POLICY)))
            self.count += 1
        await self.book.post(PARTITION, items[0].offset - 1, [(POLICY, items)], rules=self.rules, park=None)

    async def told(self):
        entries = await self.outbox.head(1000)
        alerts = [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]
        return [(alert.kind, alert.account, alert.period) for alert in alerts if alert.kind in WATCHED]

    async def used(self, account, period):
        balance = await self.reader.balance(account, period)
        return balance.posted_tpp if balance else None


@pytest.fixture
async def desk(any_redis, ledger):
    desk = Desk(any_redis, ledger)
    await desk.adopt()
    return desk


async def test_lpp_is_told_near_and_past_its_limit_once_each_and_another_year_begins_anew(desk):
    for tpp in (24_000_000, 300_000, 2_600_000, 5_000):
        await desk.post(shipment("lpp", tpp))
    await desk.post(shipment("lpp", 24_000_000, "2027-01-01"))

    assert await desk.used("lpp:lei:1", "2026") == 26_905_000
    assert await desk.used("country:IN", "2025-2027") is None
    assert await desk.told() == [("lpp.near_limit", "lpp:lei:1", "2026"), ("lpp.exceeded", "lpp:lei:1", "2026")]


QUARTERS = [
    shipment("nveu", 600_000_000, "2025-03-31"),
    shipment("nveu", 300_000_000, "2025-04-01"),
    shipment("nveu", 100_000_000, "2025-06-30"),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_nveu_is_cumulative_and_neither_balances_nor_levels_depend_on_the_order(desk, order):
    for number in order:
        await desk.post(QUARTERS[number])

    used = [await desk.used("nveu:lei:1:IN", quarter) for quarter in ("2025-Q1", "2025-Q2", "2025-Q3", "2027-Q4")]
    assert used == [600_000_000, 1_000_000_000, 1_000_000_000, 1_000_000_000]
    assert await desk.told() == [("nveu.exceeded", "nveu:lei:1:IN", "2025-Q2")]


async def test_nveu_past_its_limit_is_told_for_its_own_quarter_and_for_a_later_one_when_that_is_used(desk):
    await desk.post(shipment("nveu", 5_064_000_001, "2027-01-01"))
    assert await desk.told() == [("nveu.exceeded", "nveu:lei:1:IN", "2027-Q1")]

    await desk.post(shipment("nveu", 5_000, "2027-04-01"))
    assert (await desk.told())[1:] == [("nveu.exceeded", "nveu:lei:1:IN", "2027-Q2")]


async def test_uveu_is_measured_by_the_holdings_of_each_shipment(desk):
    await desk.post(shipment("uveu", 60_000, holdings=1_000_000))
    await desk.post(shipment("uveu", 10_000, holdings=1_000_000))
    assert await desk.told() == []

    await desk.post(shipment("uveu", 10_000, holdings=1_000_000))
    assert await desk.told() == [("uveu.exceeded", "uveu:lei:1:IN", "total")]

    await desk.post(shipment("uveu", 5_000, holdings=10_000_000))
    assert await desk.used("uveu:lei:1:outside-tier1", "total") == await desk.used("uveu:lei:1:IN", "total") == 85_000
    assert len(await desk.told()) == 1


async def test_a_run_and_its_shipments_one_by_one_book_and_tell_the_same(desk):
    mixed = [*QUARTERS, shipment("lpp", 25_000_000), shipment("lpp", 2_000_000), shipment("license", 790_000_001)]
    await desk.post(*mixed)

    assert sorted(await desk.told()) == [
        ("lpp.exceeded", "lpp:lei:1", "2026"),
        ("lpp.near_limit", "lpp:lei:1", "2026"),
        ("nveu.exceeded", "nveu:lei:1:IN", "2025-Q2"),
    ]
    assert await desk.used("country:IN", "2025-2027") == 790_000_001


async def test_held_lines_alone_leave_an_account_that_still_tells_of_its_levels(desk):
    await desk.post(shipment("license", 1_600, lines=[{"quantity": 1, "model": "Thinker 9000"}]))
    await desk.post(shipment("license", 790_000_001))

    alerts = [json.loads(entry.split(b" ", 1)[1]) for entry in await desk.outbox.head(1000)]
    assert [alert["level"] for alert in alerts if alert["kind"].startswith("quota.")] == [75, 90, 100, 100]


async def test_a_decision_is_told_again_with_its_balances(desk):
    await desk.post(QUARTERS[0])
    await desk.post(QUARTERS[1])
    decision = await desk.reader.decision("/tests", "evt-1")

    assert [(c.kind, c.period, c.before_tpp, c.after_tpp, c.cap_tpp) for c in decision.charges] == [
        ("nveu", "2025-Q2", 600_000_000, 900_000_000, 949_500_000)
    ]

"""A policy may change a cap on some day within a period: from that day on, with or without a shipment, it is told."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from ledger.book.family import minute_number
from ledger.book.setting import AdoptionMade
from ledger.errors import LedgerClosed, PolicyChanged
from ledger.policy import load_policy, policy_from_document
from schemas.adoption import Adoption
from tests.live_redis.adopting import adopt, variant
from tests.live_redis.booking import Desk

H100 = 15_832
CAP = 100 * H100
JULY, DECEMBER = date(2026, 7, 1), date(2026, 12, 1)


def policy_of(*changes, name="dated"):
    """India may use 100 H100 a year; from each of these days on, another number."""
    policy = variant(load_policy("annual-50k"), name, caps={"IN": CAP})
    document = policy.document()
    document["policy"]["caps"] += [
        {"countries": ["IN"], "tpp": count * H100, "source": "PRESS-50K", "valid_from": day.isoformat()}
        for day, count in changes
    ]
    return policy_from_document(document)


def at(day):
    return minute_number(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))


def shipped(number, quantity, destination="IN", day="2026-03-01"):
    return {
        "specversion": "1.0", "id": f"S-{number}", "source": "/t", "type": "shipment.shipped",
        "data": {
            "shipment_id": f"S-{number}", "shipped_at": f"{day}T00:00:00Z", "destination": destination,
            "lines": [{"model": "H100 SXM", "quantity": quantity}],
        },
    }  # fmt: skip


class Ledger(Desk):
    """One ledger under a policy whose caps change."""

    async def told(self):
        """What was told since it was asked last."""
        alerts = [one for one in await self.alerts() if one.kind.startswith("quota.")]
        await self.redis.delete(self.keys.outbox)
        return [(one.kind, one.level, one.cap_tpp // H100) for one in alerts]


@pytest.fixture
async def ledger_of(redis, ledger):
    async def opened(policy):
        desk = Ledger(redis, ledger, policy)
        desk.rules = await adopt(redis, ledger, policy, at=datetime(2026, 1, 1, tzinfo=UTC))
        return desk

    return opened


async def test_a_cap_that_is_lowered_below_the_use_is_told_on_its_day_though_nothing_is_shipped(ledger_of):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 3, 2)))
    await desk.post(0, [shipped(1, 76)])
    before = await desk.told()
    await desk.tick(at(date(2026, 6, 30)))
    day_before = await desk.told()
    await desk.tick(at(JULY))
    alerts = [one for one in await desk.alerts() if one.kind.startswith("quota.")]

    assert before == [("quota.near_cap", 75, 100)]
    assert day_before == []
    assert await desk.told() == [
        ("quota.near_cap", 75, 60), ("quota.near_cap", 90, 60), ("quota.near_cap", 100, 60), ("quota.exceeded", 100, 60)
    ]  # fmt: skip
    assert {one.occurred_at for one in alerts} == {datetime(2026, 7, 1, tzinfo=UTC)}
    assert {(one.event_key, one.url, one.used_tpp) for one in alerts} == {
        (None, "/v1/quotas/IN?period=2026", 76 * H100)
    }
    assert alerts[-1].message.startswith("India is past its cap")


async def test_a_cap_that_is_raised_ends_what_was_told_under_the_lower_one(ledger_of):
    desk = await ledger_of(policy_of((JULY, 200), (DECEMBER, 80)))
    await desk.tick(at(date(2026, 3, 2)))
    await desk.post(0, [shipped(1, 92)])
    await desk.told()
    await desk.tick(at(JULY))
    raised = await desk.told()
    await desk.tick(at(DECEMBER))

    assert raised == [("quota.recovered", 90, 200)]
    assert [level for _, level, _ in await desk.told()] == [75, 90, 100, 100]


async def test_a_shipment_is_measured_by_the_cap_of_the_ledgers_day_whatever_its_own(ledger_of):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 6, 30)))
    await desk.post(0, [shipped(1, 61, day="2026-06-29")])
    before = await desk.told()
    await desk.tick(at(JULY))
    await desk.told()
    await desk.post(0, [shipped(2, 1, day="2026-06-29"), shipped(3, 1, "AE")])

    assert before == []
    assert await desk.told() == []
    [india] = [one for one in await desk.accounts() if one.account == "country:IN"]
    assert sorted(india.crossed) == [75, 90, 100]


async def test_each_of_two_lowerings_is_told_under_ids_of_its_own_and_the_same_ones_after_a_loss_of_redis(ledger_of):
    policy = policy_of((JULY, 60), (DECEMBER, 59))
    desk = await ledger_of(policy)
    ids = []
    await desk.tick(at(date(2026, 3, 2)))
    await desk.post(0, [shipped(1, 76)])
    for day in (date(2026, 3, 3), JULY, DECEMBER):
        await desk.tick(at(day))
        ids.append({one.alert_id for one in await desk.alerts() if one.level is not None})
        await desk.told()
    await desk.redis.delete(*await desk.redis.keys(desk.keys.pattern))
    again = await ledger_of(policy)
    await again.tick(at(DECEMBER))
    await again.post(0, [shipped(1, 76)])

    assert [len(one) for one in ids] == [1, 4, 4]
    assert len(set.union(*ids)) == 9
    assert {one.alert_id for one in await again.alerts() if one.level is not None} == ids[-1]


async def test_a_country_that_leaves_tier_3_is_measured_from_that_day_on(ledger_of):
    policy = variant(load_policy("annual-50k"), "small", caps={"KH": CAP})
    desk = await ledger_of(policy)
    await desk.tick(at(date(2026, 2, 1)))
    await desk.post(0, [shipped(1, 80, "KH", day="2026-01-10")])
    in_tier_3 = await desk.told()
    await desk.tick(at(date(2026, 2, 3)))

    assert in_tier_3 == []
    assert await desk.told() == [("quota.near_cap", 75, 100)]


async def test_a_run_that_was_measured_by_the_day_before_is_measured_again(ledger_of, monkeypatch):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 6, 30)))
    call, days = desk.book.call, iter([None, JULY])

    async def overtaken(accounts, arguments):
        if (day := next(days, None)) is not None:
            await desk.tick(at(day))
        return await call(accounts, arguments)

    monkeypatch.setattr(desk.book, "call", overtaken)
    await desk.post(0, [shipped(1, 76)])

    assert [cap for _, _, cap in await desk.told()] == [60] * 4


async def test_an_account_that_comes_into_being_while_a_day_begins_is_measured_by_it(ledger_of, monkeypatch):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 6, 30)))
    measure, posts = asyncio.to_thread, iter([[shipped(1, 50)], [shipped(2, 11)]])

    async def overtaken(work, *arguments):
        if (documents := next(posts, None)) is not None:
            await desk.post(0, documents)
        return await measure(work, *arguments)

    monkeypatch.setattr("ledger.book.today.asyncio.to_thread", overtaken)
    await desk.tick(at(JULY))

    [account] = await desk.accounts()
    assert (account.posted_tpp, sorted(account.crossed)) == (61 * H100, [75, 90, 100])


async def test_a_day_that_is_over_does_not_begin_again(ledger_of):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(JULY))
    await desk.post(0, [shipped(1, 61)])
    await desk.told()
    state = await desk.redis.hgetall(desk.keys.balances)
    await desk.tick(at(date(2026, 3, 1)))

    assert await desk.told() == []
    assert await desk.redis.hgetall(desk.keys.balances) == state
    assert await desk.redis.hget(desk.keys.meta, "today") == b"2026-07-01"


async def test_no_day_begins_while_a_policy_is_adopted_nor_by_the_one_before(ledger_of):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 6, 30)))
    old_rules = desk.rules
    adoption = Adoption(number=2, policy_id="x", policy_sha256="0", adopted_at=datetime.now(UTC), begins={})
    closed = AdoptionMade(adoption, desk.policy).closure().model_dump_json()
    await desk.redis.hset(desk.keys.meta, "adopting", closed)
    with pytest.raises(LedgerClosed):
        await desk.tick(at(JULY))
    await desk.redis.hdel(desk.keys.meta, "adopting")
    desk.rules = await adopt(
        desk.redis, desk.keys.ledger, policy_of(name="other"), at=datetime(2026, 6, 30, tzinfo=UTC)
    )
    await desk.told()
    with pytest.raises(PolicyChanged):
        await desk.book.tick(at(JULY), rules=old_rules)

    assert await desk.redis.hget(desk.keys.meta, "today") == b"2026-06-30"


async def test_an_adoption_brings_the_ledger_to_its_own_day(ledger_of):
    desk = await ledger_of(policy_of((JULY, 60)))
    await desk.tick(at(date(2026, 3, 1)))
    await desk.post(0, [shipped(1, 61)])
    await desk.told()
    other = policy_of((JULY, 60), (DECEMBER, 50), name="other")
    desk.rules = await adopt(desk.redis, desk.keys.ledger, other, at=datetime(2026, 8, 1, tzinfo=UTC))
    adopted = await desk.told()
    await desk.tick(at(date(2026, 8, 2)))

    assert adopted == [*((("quota.near_cap", level, 60)) for level in (75, 90, 100)), ("quota.exceeded", 100, 60)]
    assert await desk.told() == []
    assert await desk.redis.hget(desk.keys.meta, "today") == b"2026-08-02"

"""Families on a real Redis: whatever the order, the partition, the repetition or the cut, the same balances."""

import asyncio
from functools import partial
from random import Random

import pytest

from ledger.book.family import minute_of
from ledger.rules.families import ONE_BY_ONE_MAX
from tests import reckoning
from tests.builders import shipment_document
from tests.histories import history
from tests.live_redis.booking import LAST_MINUTE, MINUTES, POLICIES, open_desk, shuffled


@pytest.fixture
def open_book(any_redis, ledger):
    return partial(open_desk, any_redis, ledger)


def reckoned(events, policy, minute):
    """(balances, held lines that an account counts, what waits) of all families together."""
    return reckoning.reckon_all(events, lambda _: policy, minute_of(minute))[:3]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(25))
async def test_a_history_comes_to_what_is_reckoned_by_hand(open_book, policy, seed):
    random = Random(f"{policy} {seed}")
    events = history(random, random.choice((1, 5, 30, 120)))
    desk, ticks = await open_book(policy), list(MINUTES)
    for partition, run in shuffled(events, random):
        await desk.post(partition, run)
        if ticks and random.random() < 0.2:
            await desk.tick(ticks.pop(0))
    await desk.tick(LAST_MINUTE)

    balances, held, waits = reckoned(events, policy, LAST_MINUTE)
    assert await desk.balances() == balances
    assert await desk.waits() == waits
    if policy == "annual":  # every day has its period
        assert await desk.held_lines() == held


@pytest.mark.parametrize("quantity", [2, 5])
async def test_an_original_that_comes_again_beside_one_that_names_it_is_known(open_book, quantity):
    parked = []

    async def park(unfit):
        parked.extend(item.rejected.reason for item in unfit)

    desk = await open_book()
    desk.park = park
    original = shipment_document(id="first", quantity=2)
    returned = shipment_document(id="back", type="shipment.returned", original_id="first", quantity=1)
    await desk.post(0, [original])
    before = await desk.redis.hgetall(desk.keys.ids)
    await desk.post(0, [returned, shipment_document(id="first", quantity=quantity)])

    after = await desk.redis.hgetall(desk.keys.ids)
    assert {key: after[key] for key in before} == before
    assert await desk.balances() == {("country:IN", "2026", "posted"): reckoning.H100}
    assert parked == ["conflict"] * (quantity != 2)


async def test_a_return_that_waits_still_does_when_another_event_names_it(open_book):
    desk = await open_book()
    waiting = shipment_document(id="back", type="shipment.returned", original_id="never-heard-of", quantity=1)
    wrong = shipment_document(id="wrong", type="shipment.cancelled", original_id="back")
    await desk.post(0, [waiting])
    await desk.post(1, [wrong])

    assert await desk.waits() == {("/tests", "back"): "waiting"}


@pytest.mark.parametrize("seed", range(8))
async def test_workers_that_meet_in_one_family_lose_nothing(open_book, seed):
    random = Random(seed)
    events = history(random, 60)
    desk = await open_book()
    runs = shuffled(events, random)

    async def work(partition):
        for place, run in runs:
            if place == partition:
                await desk.post(partition, run)

    await asyncio.gather(*map(work, range(3)), desk.tick(MINUTES[2]))
    await desk.tick(LAST_MINUTE)

    assert await desk.balances() == reckoned(events, "annual", LAST_MINUTE)[0]


@pytest.mark.parametrize("seed", range(8))
async def test_runs_that_are_delivered_again_change_nothing(open_book, seed):
    random = Random(seed)
    events = history(random, 40)
    desk = await open_book()
    posted = []
    for partition, run in shuffled(events, random):
        posted.append((partition, desk.ends[partition], run))
        await desk.post(partition, run)
        await desk.post_again(*random.choice(posted))
    await desk.tick(LAST_MINUTE)

    assert await desk.balances() == reckoned(events, "annual", LAST_MINUTE)[0]


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("first", ["adjusted", "cancelled"])
async def test_an_adjustment_stands_though_somebody_names_it_before_or_after(open_book, first, cut):
    told = {"country": "IN", "period": "2026", "tpp": 5, "actor": "a person", "reason": "counted"}
    events = [
        {"specversion": "1.0", "id": "a", "source": "/tests", "type": "ledger.adjusted", "data": told},
        shipment_document(id="c", type="shipment.cancelled", original_id="a"),
    ]
    desk = await open_book()
    ordered = events if first == "adjusted" else events[::-1]
    for begin in range(0, 2, cut):
        await desk.post(0, ordered[begin : begin + cut])

    assert await desk.balances() == {("country:IN", "2026", "posted"): 5}


async def test_a_family_of_very_many_events_is_booked_all_the_same(open_book):
    desk = await open_book()
    lines = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 500}]
    shipped = shipment_document(id="s", lines=lines)
    one = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 1}]
    returns = [
        shipment_document(id=f"r{number}", type="shipment.returned", original_id="s", lines=one)
        for number in range(ONE_BY_ONE_MAX + 150)
    ]
    await desk.post(0, [shipped, *returns[:90]])
    await desk.post(1, returns[90:])

    assert await desk.balances() == {("country:IN", "2026", "posted"): (500 - len(returns)) * 15_832}

"""Amounts around 2^53, where Lua's numbers stop being exact: balances stay exact, whichever way they came to be."""

from random import Random

import pytest

from tests.builders import shipment_document
from tests.live_redis.booking import open_desk

LARGEST = 2**50
"""TPP that one event may state."""


@pytest.mark.parametrize("at_once", [1, 7, 40])
@pytest.mark.parametrize("country", ["DE", "IN", "CN"])
async def test_balances_past_2_to_the_53_are_exact(any_redis, ledger, country, at_once):
    desk = await open_desk(any_redis, ledger)
    lines = [{"tpp_each": LARGEST - 1, "quantity": 1}]
    events = [shipment_document(id=f"e{number}", destination=country, lines=lines) for number in range(40)]
    for begin in range(0, 40, at_once):
        await desk.post(0, events[begin : begin + at_once])

    assert await desk.balances() == {(f"country:{country}", "2026", "posted"): 40 * (LARGEST - 1)}


def adjustment(number, tpp):
    told = {"country": "IN", "period": "2026", "tpp": tpp, "actor": "A. Person", "reason": "a test"}
    return {"specversion": "1.0", "id": f"a{number}", "source": "/tests", "type": "ledger.adjusted", "data": told}


@pytest.mark.parametrize("seed", range(5))
async def test_a_balance_that_goes_up_and_down_across_2_to_the_53_is_exact(any_redis, ledger, seed):
    random = Random(seed)
    desk = await open_desk(any_redis, ledger)
    drift = random.choice((1, -1))
    amounts = [drift * (LARGEST - random.randrange(3)) for _ in range(9)]
    amounts += [random.choice((1, -1)) * (LARGEST - random.randrange(3)) for _ in range(60)]
    amounts += [random.choice((1, -1, 2**40 + 1)) for _ in range(20)]
    events = [adjustment(number, tpp) for number, tpp in enumerate(amounts)]
    while events:
        count = random.choice((1, 2, 9))
        await desk.post(0, events[:count])
        del events[:count]

    assert await desk.balances() == {("country:IN", "2026", "posted"): sum(amounts)}

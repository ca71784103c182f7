"""What became of an event of any type, and what would become of one: told as it is reckoned by hand."""

import json
from collections import Counter
from functools import partial
from random import Random

import pytest

from ledger.book.family import minute_of
from schemas.cloudevents import read_event
from streams.api.answers import assessment_of
from tests import reckoning
from tests.histories import history
from tests.live_redis.booking import LAST_MINUTE, NOW, POLICIES, open_desk, shuffled

H100 = 15_832


@pytest.fixture
def open_book(any_redis, ledger):
    return partial(open_desk, any_redis, ledger)


def reckoned_outcomes(events, policy, minute):
    outcomes = {}
    for key, family in reckoning.families(events).items():
        outcomes |= reckoning.reckon(key, family, lambda _: policy, minute_of(minute))[2]
    return outcomes


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(12))
async def test_every_decision_tells_the_outcome_that_is_reckoned_by_hand(open_book, policy, seed):
    random = Random(f"decisions {policy} {seed}")
    events = history(random, random.choice((5, 30, 60)))
    desk = await open_book(policy)
    for partition, run in shuffled(events, random):
        await desk.post(partition, run)
    await desk.tick(LAST_MINUTE)
    decisions = {reckoning.key_of(event): await desk.reader.decision(*reckoning.key_of(event)) for event in events}

    assert {key: found.outcome for key, found in decisions.items()} == reckoned_outcomes(events, policy, LAST_MINUTE)
    for found in decisions.values():
        assert all(charge.tpp == charge.after_tpp - charge.before_tpp != 0 for charge in found.charges)
        assert (found.outcome == "held") == bool(found.held)
        assert all(sentence.endswith(".") for sentence in found.receipt)


@pytest.mark.parametrize("seed", range(6))
async def test_what_all_decisions_booked_is_what_stands_on_the_accounts(open_book, seed):
    random = Random(f"sums {seed}")
    events = history(random, 60)
    desk = await open_book()
    for partition, run in shuffled(events, random):
        await desk.post(partition, run)
    booked = Counter()
    for key in map(reckoning.key_of, events):
        for charge in (await desk.reader.decision(*key)).charges:
            booked[charge.account, charge.period, charge.state] += charge.tpp

    assert Counter({place: tpp for place, tpp in booked.items() if tpp}) == await desk.balances()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(4))
async def test_an_assessment_foresees_what_is_booked_of_any_event_in_any_order(open_book, policy, seed):
    random = Random(f"foreseen {policy} {seed}")
    events = history(random, 30)
    desk = await open_book(policy)
    for event in random.sample(events, len(events)):
        read = read_event(json.dumps(event).encode(), default_source="/tests")
        foreseen = await assessment_of(desk.reader, read, desk.policy, NOW)
        await desk.post(0, [event])
        decided = await desk.reader.decision(*reckoning.key_of(event))

        assert foreseen == decided.model_copy(update={"outcome": None, "recorded_at": None})


async def test_an_event_that_others_named_and_that_never_came_was_not_seen(open_book):
    desk = await open_book()
    await desk.post(0, [said("shipment.cancelled", "r", original_id="lost")])

    assert await desk.reader.decision("/tests", "lost") is None
    assert (await desk.reader.decision("/tests", "r")).outcome == "waiting"


def said(kind, event_id, *, time="2026-03-02T08:00:00Z", **data):
    return {"specversion": "1.0", "id": event_id, "source": "/tests", "type": kind, "time": time, "data": data}

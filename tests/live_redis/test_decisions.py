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
    return reckoning.reckon_all(events, lambda _: policy, minute_of(minute))[3]


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


H100S = {"vendor": "NVIDIA", "model": "H100 SXM"}
Z9 = {"vendor": "Acme", "model": "Z9 Turbo"}
PERSON = {"actor": "A. Person", "reason": "the maker's data sheet"}


async def told_of(desk, event_id):
    decision = await desk.reader.decision("/tests", event_id)
    return decision.outcome, [(charge.state, charge.tpp) for charge in decision.charges], "\n".join(decision.receipt)


async def test_a_receipt_tells_the_life_of_a_shipment_from_its_reservation_to_what_came_back(open_book):
    desk = await open_book()
    lines = [H100S | {"quantity": 64}, Z9 | {"quantity": 10}]
    back = [H100S | {"quantity": 16}]
    for event in (
        said("shipment.reserved", "res", destination="IN", lines=[H100S | {"quantity": 100}]),
        said("shipment.shipped", "s", destination="IN", lines=lines, original_id="res"),
        said(
            "shipment.resolved", "w", original_id="s", lines=[Z9 | {"tpp_each": 5_000}], approved_by="B. Boss", **PERSON
        ),
        said("shipment.returned", "r", time="2026-03-05T00:00:00Z", original_id="s", lines=back),
    ):
        await desk.post(0, [event])

    outcome, charges, receipt = await told_of(desk, "res")
    assert (outcome, charges) == ("applied", [("reserved", 100 * H100)])
    assert "Changed by /tests#s -1,013,248 TPP.\n569,952 TPP of /tests#res are reserved now." in receipt
    outcome, charges, receipt = await told_of(desk, "s")
    assert (outcome, charges) == ("applied", [("posted", 64 * H100), ("reserved", -64 * H100)])
    assert "3A090.a, booked; 48 of 64 are left." in receipt
    assert "10 x Acme Z9 Turbo at 5,000 TPP (as stated) are 50,000 TPP" in receipt
    assert "India 2026 (reserved): 1,583,200 - 1,013,248 = 569,952 TPP" in receipt
    assert "It uses 1,013,248 TPP of the reservation /tests#res, of which 569,952 TPP are left now." in receipt
    assert "Changed by /tests#w +50,000 TPP, /tests#r -253,312 TPP." in receipt
    outcome, charges, receipt = await told_of(desk, "w")
    assert (outcome, charges) == ("applied", [("posted", 50_000)])
    assert receipt.startswith(
        "A. Person says what held items of /tests#s are, approved by B. Boss: the maker's data sheet."
    )
    outcome, charges, receipt = await told_of(desk, "r")
    assert (outcome, charges) == ("applied", [("posted", -16 * H100)])
    assert receipt.startswith("r takes items of /tests#s back.\nLine 1: 16 x NVIDIA H100 SXM.\n")
    assert "India 2026: 1,063,248 - 253,312 = 809,936 TPP" in receipt


async def test_what_came_before_its_original_says_that_another_booking_settled_it(open_book):
    desk = await open_book()
    correction = said("shipment.corrected", "c", original_id="s", destination="AE", lines=[H100S | {"quantity": 5}])
    await desk.post(0, [correction])
    outcome, charges, receipt = await told_of(desk, "c")
    assert (outcome, charges) == ("waiting", [])
    assert "Nothing is booked." in receipt
    assert receipt.endswith("/tests#s, which it names, is not known yet.")

    await desk.post(1, [said("shipment.shipped", "s", destination="IN", lines=[H100S | {"quantity": 6}])])
    outcome, charges, receipt = await told_of(desk, "c")
    assert (outcome, charges) == ("applied", [])
    assert "It came to +79,160 TPP on United Arab Emirates 2026 with another event, by which that is booked." in receipt
    outcome, charges, receipt = await told_of(desk, "s")
    assert (outcome, charges) == ("superseded", [("posted", 79_160)])
    assert "The correction /tests#c stands." in receipt


async def test_an_event_that_others_named_and_that_never_came_was_not_seen(open_book):
    desk = await open_book()
    await desk.post(0, [said("shipment.cancelled", "r", original_id="lost")])

    assert await desk.reader.decision("/tests", "lost") is None
    assert (await desk.reader.decision("/tests", "r")).outcome == "waiting"


def said(kind, event_id, *, time="2026-03-02T08:00:00Z", **data):
    return {"specversion": "1.0", "id": event_id, "source": "/tests", "type": kind, "time": time, "data": data}

"""What happens to a shipment after it left, on real parts: returned, corrected, resolved, reserved, expired."""

import json
from datetime import UTC, datetime
from random import Random

import pytest

from ledger.book.account import account_of
from tests import reckoning
from tests.histories import history
from tests.live_kafka.desk import H100, shipment
from tests.parts import wait_until


@pytest.fixture
def desk(open_desk):
    return open_desk(partitions=4)


def balances(desk):
    """By (account, period, state), what is not zero."""
    found = {}
    for name, record in desk.redis.hgetall(desk.keys.balances).items():
        account = account_of(name, record)
        found[account.account, account.period, "posted"] = account.posted_tpp
        found[account.account, account.period, "reserved"] = account.reserved_tpp
    return {place: tpp for place, tpp in found.items() if tpp}


def past(events):
    """The same, where nothing happens after today: a broker's clock cannot be set."""
    told = json.dumps(events)
    for year in ("2027", "2026-12", "2026-09"):
        told = told.replace(year, "2023" + year[4:])
    return json.loads(told)


def test_a_reservation_that_expired_while_no_worker_ran_is_freed_after_the_start(desk, processes):
    expired = {"type": "shipment.reserved", "expires_at": "2026-03-05T00:00:00Z"}
    lasting = {"type": "shipment.reserved", "expires_at": "2126-03-05T00:00:00Z"}
    desk.produce([shipment("r-1", quantity=5) | expired, shipment("r-2", quantity=2) | lasting])
    desk.produce([shipment("s-1", quantity=1) | {"original_id": "r-1"}])
    processes.start("worker", desk.settings)
    desk.wait_settled(3)
    standing = {("country:IN", "2026", "reserved"): 2 * H100, ("country:IN", "2026", "posted"): H100}
    wait_until(lambda: balances(desk) == standing, "the first to be freed")
    wait_until(desk.alerts, "its alert")

    (told,) = desk.alerts()
    assert (told["kind"], told["event_key"]) == ("reservation.expired", f"/kafka/{desk.settings.topic_shipments}#r-1")
    assert told["evidence"]["expired_tpp"] == 4 * H100


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_that_are_killed_amid_related_events_come_to_what_is_reckoned_by_hand(desk, processes, seed):
    random = Random(seed)
    events = past(history(random, 200))
    records = random.sample(events, len(events)) + random.sample(events, 40)
    workers = [processes.start("worker", desk.settings) for _ in range(2)]
    for begin in range(0, len(records), 60):
        desk.produce([json.dumps(event).encode() for event in records[begin : begin + 60]])
        settled = desk.settled()
        wait_until(lambda settled=settled: desk.settled() > settled, "some of them to be settled")
        processes.kill(workers.pop(0))
        workers.append(processes.start("worker", desk.settings))
    desk.wait_settled(len(records), timeout_s=90)

    now = datetime.now(UTC)
    expected = {}
    for key, family in reckoning.families(events).items():
        for place, tpp in reckoning.reckon(key, family, lambda _: "annual", now)[0].items():
            expected[place] = expected.get(place, 0) + tpp
    wait_until(lambda: balances(desk) == expected, "the balances to be right")
    assert desk.rejects() == []

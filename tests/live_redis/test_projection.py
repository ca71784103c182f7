"""A simulation says of the same records what a worker books: balances, held lines, what waits, and every alert."""

import json
from collections import Counter
from random import Random

import pytest

from ledger.book.account import account_of
from ledger.book.family import minute_of
from ledger.book.keys import Keys
from ledger.book.outbox import Outbox
from ledger.book.post import Book
from ledger.policy import load_policy
from ledger.replay.named import named_by
from ledger.replay.simulate import Simulation
from ledger.rules.families import ONE_BY_ONE_MAX
from schemas.quota_alert import QuotaAlert
from schemas.rejected_record import RejectedRecord
from schemas.shipment_event import ShipmentEvent
from streams.cli.sample_traffic import sample_events, traffic
from streams.debit_shipments import judge, read_record
from streams.kafka.run import Run
from tests.assortment import assortment
from tests.histories import history
from tests.live_redis.adopting import adopt, variant
from tests.live_redis.booking import LAST_MINUTE, NOW

KAFKA_TIME_MS = 1_900_000_000_000
ANNUAL = load_policy("annual-50k")
POLICIES = {
    "annual": ANNUAL,
    "diffusion": load_policy("diffusion-2025"),
    "december": load_policy("december-2024"),
    "low caps that reservations count against": variant(
        ANNUAL, "low", caps={"IN": 10_000_000, "AE": 5_000_000, "BR": 500_000}, reserved_counts=True
    ),
}
TOPIC = "shipments"


def family_history(seed):
    """Related events in any order, some of them twice."""
    random = Random(seed)
    events = history(random, 120)
    events += random.choices(events, k=20)
    return [json.dumps(event).encode() for event in random.sample(events, len(events))]


def adjustments():
    told = {"country": "IN", "actor": "a person", "reason": "counted"}
    for number, tpp in enumerate((700_000_000, -300_000_000, 250_000_000, -900_000_000, 10**9)):
        data = told | {"period": "2026", "tpp": tpp}
        yield json.dumps(data | {"id": f"a-{number}", "type": "ledger.adjusted"}).encode()
        yield json.dumps({"id": f"c-{number}", "type": "shipment.cancelled", "original_id": f"a-{number}"}).encode()


def large_family():
    """Of so many events that a worker does not book each for itself."""
    lines = [{"vendor": "NVIDIA", "model": "H100 SXM", "quantity": 1}]
    shipped = {
        "id": "s",
        "shipped_at": "2026-03-01T00:00:00Z",
        "destination": "IN",
        "lines": [lines[0] | {"quantity": 900}],
    }
    yield json.dumps(shipped).encode()
    for number in range(ONE_BY_ONE_MAX + 60):
        returned = {"id": f"r-{number}", "type": "shipment.returned", "original_id": "s", "lines": lines}
        yield json.dumps(returned).encode()


RECORDS = {
    "sample": lambda: [json.dumps(event).encode() for event in sample_events(today=NOW.date())],
    "traffic": lambda: [json.dumps(event).encode() for event in traffic(300, 3, NOW.date())],
    "assortment": lambda: list(assortment(11, 400)),
    "another assortment": lambda: list(assortment(12, 400)),
    "adjustments": lambda: list(adjustments()),
    "a large family": lambda: list(large_family()),
    **{f"history {seed}": lambda seed=seed: family_history(seed) for seed in range(6)},
}


class Record:
    """As a client fetches it."""

    key, headers = None, ()

    def __init__(self, offset, value):
        self.offset, self.timestamp, self.value = offset, KAFKA_TIME_MS, value


async def booked(redis, ledger, policy, records):
    """What a worker books of these records, fetched in runs of any length: accounts, alerts, what waits."""
    keys, rules = Keys(ledger), await adopt(redis, ledger, policy)
    book, chance, prev = Book(redis, ledger, now=lambda: NOW), Random(5), -1

    async def park(_):
        pass

    while records[prev + 1 :]:
        run = Run(TOPIC, 0, prev, records[prev + 1 : prev + 2 + chance.randrange(60)])
        await book.post(f"{TOPIC}:0", prev, [(policy, judge(run, policy))], rules=rules, park=park)
        prev = run.last
    await book.tick(LAST_MINUTE, rules=rules)
    accounts = [account_of(name, record) for name, record in (await redis.hgetall(keys.balances)).items()]
    entries = await Outbox(redis, ledger, relay="test").head(100_000)
    waits = Counter(why for _, _, why in map(json.loads, (await redis.hgetall(keys.waits)).values()))
    alerts = [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]
    return accounts, [alert for alert in alerts if alert.kind != "policy.adopted"], waits


def simulated(policy, records):
    items = []
    for record in records:
        try:
            items.append(read_record(record, f"/kafka/{TOPIC}"))
        except RejectedRecord as rejected:
            items.append(rejected)
    named = named_by(item for item in items if isinstance(item, ShipmentEvent))
    simulation = Simulation(policy, load_policy("allies-tier1-long"), named, today=minute_of(LAST_MINUTE).date())
    for item in items:
        simulation.take(item)
    simulation.let_time_pass(minute_of(LAST_MINUTE))
    return simulation


def told(crossing):
    return crossing.kind, crossing.account, crossing.period, crossing.level, crossing.used_tpp, crossing.cap_tpp


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("policy", POLICIES)
async def test_a_simulation_of_records_is_what_a_worker_books_of_them(redis, ledger, policy, name):
    policy = POLICIES[policy]
    records = [Record(offset, value) for offset, value in enumerate(RECORDS[name]())]
    accounts, alerts, waits = await booked(redis, ledger, policy, records)
    simulation = simulated(policy, records)
    projection = simulation.policy

    assert {(one.account, one.period): (one.posted_tpp, one.reserved_tpp, one.held_lines) for one in accounts} == {
        name: (account.posted_tpp, account.reserved_tpp, account.held_lines)
        for name, account in projection.accounts.items()
    }
    assert {why: projection.outcomes[why] for why in ("held", "waiting") if projection.outcomes[why]} == waits
    crossed = [alert for alert in alerts if alert.level is not None]
    assert sorted((*told(one), one.event_key) for one in crossed) == sorted(
        (*told(one), one.event_key) for one in projection.crossed
    )
    assert Counter((one.kind, one.country) for one in alerts if one.level is None) == (
        simulation.told_by_both + simulation.only_policy.counts
    )

"""A simulation says of the same records what a worker books: balances, held lines, and every alert."""

import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from ledger.book.account import account_of
from ledger.book.keys import Keys
from ledger.book.outbox import Outbox
from ledger.book.post import Book
from ledger.policy import load_policy
from ledger.replay.simulate import Simulation
from schemas.quota_alert import QuotaAlert
from schemas.rejected_record import RejectedRecord
from streams.cli.sample_traffic import sample_events, traffic
from streams.debit_shipments import judge, read_record
from streams.kafka.run import Run
from tests.assortment import assortment
from tests.live_redis.adopting import adopt

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KAFKA_TIME_MS = 1_900_000_000_000
POLICIES = ["annual-50k", "allies-tier1", "diffusion-2025", "december-2024"]
TOPIC = "shipments"

RECORDS = {
    "sample": lambda: [json.dumps(event).encode() for event in sample_events(today=NOW.date())],
    "traffic": lambda: [json.dumps(event).encode() for event in traffic(400, 3, NOW.date())],
    "assortment": lambda: list(assortment(11, 400)),
    "another assortment": lambda: list(assortment(12, 400)),
}


class Record:
    """As a client fetches it."""

    key, headers = None, ()

    def __init__(self, offset, value):
        self.offset, self.timestamp, self.value = offset, KAFKA_TIME_MS, value


async def booked(redis, ledger, policy, records):
    """What a worker books of these records, fetched in runs of any length: accounts and alerts."""
    keys = Keys(ledger)
    rules = await adopt(redis, ledger, policy)
    book, chance, prev = Book(redis, ledger, now=lambda: NOW), random.Random(5), -1

    async def park(_):
        pass

    while records[prev + 1 :]:
        run = Run(TOPIC, 0, prev, records[prev + 1 : prev + 2 + chance.randrange(60)])
        await book.post(f"{TOPIC}:0", prev, [(policy, judge(run, policy))], rules=rules, park=park)
        prev = run.last
    accounts = [account_of(name, record) for name, record in (await redis.hgetall(keys.balances)).items()]
    entries = await Outbox(redis, ledger, relay="test").head(100_000)
    return accounts, [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", RECORDS)
async def test_a_simulation_of_records_is_what_a_worker_books_of_them(redis, ledger, policy, name):
    policy = load_policy(policy)
    records = [Record(offset, value) for offset, value in enumerate(RECORDS[name]())]
    accounts, alerts = await booked(redis, ledger, policy, records)
    simulation = Simulation(policy, load_policy("allies-tier1-long"))
    for record in records:
        try:
            item = read_record(record, f"/kafka/{TOPIC}")
        except RejectedRecord as rejected:
            item = rejected
        simulation.take(item)
    projection = simulation.policy

    assert {(one.account, one.period): (one.posted_tpp, one.held_lines) for one in accounts} == {
        name: (account.posted_tpp, account.held_lines) for name, account in projection.accounts.items()
    }
    assert sorted(
        (one.kind, one.account, one.period, one.level, one.used_tpp, one.cap_tpp, one.event_key)
        for one in alerts
        if one.level is not None
    ) == sorted(
        (one.kind, one.account, one.period, one.level, one.used_tpp, one.cap_tpp, one.event_key)
        for one in projection.crossed
    )
    assert Counter((one.kind, one.country) for one in alerts if one.level is None) == (
        simulation.told_by_both + simulation.only_policy.counts
    )

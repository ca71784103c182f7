"""Families on a real Redis: whatever the order, the partition, the repetition or the cut, the same balances."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest

from ledger.book.account import account_of
from ledger.book.families import ONE_BY_ONE_MAX
from ledger.book.family import minute_of
from ledger.book.judged import Judged
from ledger.book.keys import Keys
from ledger.book.post import Book
from ledger.policy import load_policy
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from schemas.quota_alert import QuotaAlert
from tests import reckoning
from tests.builders import shipment_document
from tests.histories import history
from tests.live_redis.adopting import adopt

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICIES = {"annual": load_policy("annual-50k"), "diffusion": load_policy("diffusion-2025")}
MINUTES = [
    int(datetime(year, month, 15, tzinfo=UTC).timestamp()) // 60 for year in (2025, 2026) for month in (1, 5, 11)
]
LAST_MINUTE = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp()) // 60


async def never_parked(unfit):
    raise AssertionError(f"parked: {unfit[0].rejected}")


class Desk:
    """Books that post documents to one ledger, each partition in its order."""

    def __init__(self, redis, ledger, policy):
        self.redis, self.keys, self.policy = redis, Keys(ledger), policy
        self.book = Book(redis, ledger, now=lambda: NOW)
        self.ends = Counter()

    async def post(self, partition, documents):
        begin = self.ends[partition]
        self.ends[partition] += len(documents)
        await self.post_again(partition, begin, documents)

    async def post_again(self, partition, begin, documents):
        run = [self.record(begin + number, document) for number, document in enumerate(documents)]
        stretches = [(self.policy, run)]
        await self.book.post(f"shipments:{partition}", begin - 1, stretches, rules=self.rules, park=never_parked)

    def record(self, offset, document):
        value = json.dumps(document).encode()
        event = read_event(value, default_source="/tests")
        judged = judge(event, self.policy)
        return Judged(offset, 1_790_000_000_000 + offset, value, (), event=event, judged=judged)

    async def tick(self, minute):
        await self.book.tick(minute, rules=self.rules)

    async def accounts(self):
        kept = await self.redis.hgetall(self.keys.balances)
        return [account_of(name, record) for name, record in kept.items()]

    async def balances(self):
        found = Counter()
        for account in await self.accounts():
            found[account.account, account.period, "posted"] = account.posted_tpp
            found[account.account, account.period, "reserved"] = account.reserved_tpp
        return Counter({place: tpp for place, tpp in found.items() if tpp})

    async def held_lines(self):
        return sum(account.held_lines for account in await self.accounts())

    async def alerts(self):
        entries = await self.redis.lrange(self.keys.outbox, 0, -1)
        return [QuotaAlert.model_validate_json(entry.split(b" ", 1)[1]) for entry in entries]

    async def waits(self):
        kept = await self.redis.hgetall(self.keys.waits)
        return {(source, event_id): why for source, event_id, why in map(json.loads, kept.values())}


@pytest.fixture
def open_book(any_redis, ledger):
    async def open_book(policy="annual"):
        desk = Desk(any_redis, ledger, POLICIES[policy])
        desk.rules = await adopt(any_redis, ledger, desk.policy)
        return desk

    return open_book


def reckoned(events, policy, minute):
    """(balances, held lines that an account counts, what waits) of all families together."""
    balances, held, waits = Counter(), 0, {}
    for key, family in reckoning.families(events).items():
        found, lines, outcomes, _ = reckoning.reckon(key, family, lambda _: policy, minute_of(minute))
        balances += found
        held += len(lines)
        waits |= {name: "waiting" for name, outcome in outcomes.items() if outcome == "waiting"}
        if lines:
            waits[key] = "held"
    return balances, held, waits


def shuffled(events, random):
    """In another order, some of them twice, cut into runs of three partitions."""
    records = random.sample(events, len(events)) + random.choices(events, k=len(events) // 5)
    runs = []
    while records:
        count = random.choice((1, 2, 5, 40))
        runs.append((random.randrange(3), records[:count]))
        del records[:count]
    return runs


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

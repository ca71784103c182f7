"""Entries on a real Redis: their sum is the balance, and the past is told as it was, or as it was known."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from ledger.book.account import field_of
from ledger.book.entries import Entries
from ledger.book.family import minute_of
from ledger.book.judged import kafka_time
from ledger.book.post import Book
from ledger.errors import WrongCall
from tests import reckoning
from tests.histories import MOMENTS, history
from tests.live_redis.adopting import adopt
from tests.live_redis.booking import LAST_MINUTE, MINUTES, POLICIES, Desk, shuffled

BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIMES = [datetime.fromisoformat(moment) for moment in MOMENTS]
TIMES += [TIMES[0] - timedelta(days=365), TIMES[5] + timedelta(days=1), TIMES[-1] + timedelta(days=1000)]


class Clerk(Desk):
    """A desk whose clock goes on, and that reads what was booked."""

    def __init__(self, redis, ledger, policy):
        super().__init__(redis, ledger, policy)
        self.now = BEGIN
        self.book = Book(redis, ledger, now=lambda: self.now)
        self.entries = Entries(redis, ledger)

    async def past(self, **moments):
        """The balances of all accounts at a moment, as `balances()` tells those of now."""
        found = Counter()
        for account in await self.accounts():
            past = await self.entries.balance(account.account, account.period, **moments)
            found[account.account, account.period, "posted"] = past.posted_tpp
            found[account.account, account.period, "reserved"] = past.reserved_tpp
        return Counter({place: tpp for place, tpp in found.items() if tpp})

    async def pages(self, account, period, *, limit=7, newest_first=False):
        """Every entry of an account, page by page."""
        ids = {self.policy.sha256: self.policy.id}
        found, cursor = [], None
        while True:
            page, cursor = await self.entries.page(
                account, period, newest_first=newest_first, after=cursor, count=limit, policy_ids=ids
            )
            assert len(page) == limit or cursor is None
            found += page
            if cursor is None:
                return found


@pytest.fixture
def open_book(redis, ledger):
    async def open_book(policy="annual"):
        clerk = Clerk(redis, ledger, POLICIES[policy])
        clerk.rules = await adopt(redis, ledger, clerk.policy)
        return clerk

    return open_book


async def posted(clerk, random, events):
    """Post events in some order, each run a minute after the one before, while the ledger's time goes on."""
    ticks = list(MINUTES)
    for partition, run in shuffled(events, random):
        clerk.now += timedelta(minutes=1)
        await clerk.post(partition, run)
        if ticks and random.random() < 0.2:
            await clerk.tick(ticks.pop(0))
        yield clerk.now


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(6))
async def test_all_entries_sum_up_to_the_balance_and_each_begins_where_the_one_before_ended(open_book, policy, seed):
    random, clerk = Random(f"{policy} {seed}"), await open_book(policy)
    events = history(random, random.choice((60, 120)))
    async for _ in posted(clerk, random, events):
        pass
    await clerk.tick(LAST_MINUTE)

    accounts = await clerk.accounts()
    assert accounts
    for account in accounts:
        entries = await clerk.pages(account.account, account.period)
        running = Counter()
        for entry in entries:
            assert entry.before_tpp == running[entry.state]
            running[entry.state] += entry.tpp
            assert entry.after_tpp == running[entry.state]
            assert entry.tpp != 0
        assert (running["posted"], running["reserved"]) == (account.posted_tpp, account.reserved_tpp)
        assert [entry.recorded_at for entry in entries] == sorted(entry.recorded_at for entry in entries)
        assert await clerk.pages(account.account, account.period, newest_first=True, limit=5) == entries[::-1]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(8))
async def test_a_balance_by_event_time_follows_from_the_events_whatever_their_order(open_book, policy, seed):
    random, clerk = Random(f"past {policy} {seed}"), await open_book(policy)
    events = history(random, random.choice((5, 30, 120)))
    async for _ in posted(clerk, random, events):
        pass
    await clerk.tick(LAST_MINUTE)

    families = reckoning.families(events)
    for moment in TIMES:
        expected = Counter()
        for key, family in families.items():
            expected += reckoning.reckon_as_of(key, family, lambda _: policy, minute_of(LAST_MINUTE), moment)
        assert await clerk.past(as_of=moment) == expected, moment


@pytest.mark.parametrize("seed", range(4))
async def test_what_the_ledger_knew_then_is_told_ever_after(open_book, seed):
    random, clerk = Random(f"known {seed}"), await open_book()
    known, half_time = [(BEGIN, Counter(), Counter())], TIMES[len(TIMES) // 2]
    async for moment in posted(clerk, random, history(random, 60)):
        known.append((moment, await clerk.balances(), await clerk.past(as_of=half_time)))  # noqa: PERF401  reads on

    for moment, balances, at_half_time in known:
        for later in (moment, moment + timedelta(seconds=59)):
            assert await clerk.past(known_at=later) == balances
            assert await clerk.past(known_at=later, as_of=half_time) == at_half_time


async def test_pages_miss_nothing_and_repeat_nothing_while_entries_are_added(open_book):
    clerk = await open_book()
    await clerk.post(0, [shipment(f"early-{number}") for number in range(30)])
    ids = {clerk.policy.sha256: clerk.policy.id}
    told = {True: [], False: []}
    for newest_first, entries in told.items():
        cursor, added = None, 0
        while True:
            page, cursor = await clerk.entries.page(
                "country:IN", "2026", newest_first=newest_first, after=cursor, count=4, policy_ids=ids
            )
            entries += [entry.event_key for entry in page]
            if cursor is None:
                break
            if added < 5:
                added += 1
                await clerk.post(1, [shipment(f"late-{newest_first}-{added}") for _ in range(3)])

    early = [f"/tests#early-{number}" for number in range(30)]
    assert told[True] == early[::-1]
    assert told[False][:30] == early
    assert len(set(told[False])) == len(told[False]) == 30 + 5 + 5


@pytest.mark.parametrize("cursor", ["", "5", "-", "1-", "-1", "a-b", "1-2-3", "¹-²", "1" * 40 + "-1"])
async def test_a_cursor_of_nobody_is_refused(open_book, cursor):
    clerk = await open_book()

    with pytest.raises(WrongCall, match="cursor"):
        await clerk.entries.page("country:IN", "2026", newest_first=True, after=cursor, count=1, policy_ids={})


async def test_an_account_that_nothing_touched_has_no_entries_and_no_past(open_book):
    clerk = await open_book()

    assert await clerk.pages("country:IN", "2026") == []
    past = await clerk.entries.balance("country:IN", "2026", as_of=BEGIN, known_at=BEGIN)
    assert (past.posted_tpp, past.reserved_tpp) == (0, 0)


async def test_amounts_and_times_beyond_32_bits_are_kept(open_book):
    clerk = await open_book()
    await clerk.post(0, [shipment("far", day="2040-01-01", quantity=10**9), shipment("near", day="2040-01-01")])
    await clerk.post(0, [shipment("old", day="1901-01-01")])

    [far, near] = await clerk.pages("country:IN", "2040")
    assert (far.tpp, near.before_tpp, far.occurred_at.year) == (10**9 * 15_832, 10**9 * 15_832, 2040)
    [old] = await clerk.pages("country:IN", "1901")
    assert old.occurred_at == datetime(1901, 1, 1, tzinfo=UTC)
    assert await clerk.past(as_of=datetime(1901, 1, 1, tzinfo=UTC)) == {("country:IN", "1901", "posted"): 15_832}


async def test_a_return_that_came_before_its_shipment_counts_from_its_own_time(open_book):
    clerk = await open_book()
    back = event("back", "shipment.returned", original_id="out", time="2026-05-01T00:00:00Z")
    await clerk.post(0, [back])
    await clerk.post(0, [shipment("out", day="2026-03-01")])

    april = datetime(2026, 4, 1, tzinfo=UTC)
    assert await clerk.balances() == {}
    assert await clerk.past(as_of=april) == {("country:IN", "2026", "posted"): 15_832}
    entries = sorted(await clerk.pages("country:IN", "2026"), key=lambda entry: entry.occurred_at)
    assert [(entry.event_key, entry.tpp, entry.occurred_at.month) for entry in entries] == [
        ("/tests#out", 15_832, 3),
        ("/tests#out", -15_832, 5),
    ]


@pytest.mark.parametrize("order", [1, -1])
async def test_an_adjustment_that_a_return_names_is_booked_whichever_came_first(open_book, order):
    clerk = await open_book()
    adjusted = event("adj", "ledger.adjusted", country="IN", period="2026", tpp=-5, actor="a person", reason="why")
    back = event("back", "shipment.returned", original_id="adj", time="2026-05-01T00:00:00Z")
    for one in (adjusted, back)[::order]:
        await clerk.post(0, [one])

    [entry] = await clerk.pages("country:IN", "2026")
    assert (entry.cause, entry.tpp, entry.event_key) == ("ledger.adjusted", -5, "/tests#adj")
    assert entry.occurred_at == kafka_time(1_790_000_000_000), "the Kafka time of a record that tells none"


async def test_a_reservation_that_expired_is_an_entry_of_the_tick(open_book):
    clerk = await open_book()
    held = {"destination": "IN", "lines": [{"model": "H100 SXM", "quantity": 1}], "shipped_at": "2026-03-01T00:00:00Z"}
    await clerk.post(0, [event("r", "shipment.reserved", **held, expires_at="2026-04-01T00:00:30Z")])
    await clerk.tick(LAST_MINUTE)

    reserved, freed = await clerk.pages("country:IN", "2026")
    assert (reserved.cause, reserved.state, reserved.after_tpp) == ("shipment.reserved", "reserved", 15_832)
    assert (freed.cause, freed.event_key, freed.state, freed.after_tpp) == ("tick", "/tests#r", "reserved", 0)
    assert (freed.topic, freed.partition, freed.offset) == (None, None, None)
    assert freed.occurred_at == datetime(2026, 4, 1, 0, 0, 30, tzinfo=UTC)


async def test_what_was_used_up_after_the_time_was_over_counts_as_expired_whichever_was_known_first(open_book):
    """Nothing is left either way: but it was gone from the end of the term on, not from the late shipment on."""
    clerk = await open_book()
    goods = {"destination": "IN", "lines": [{"model": "H100 SXM", "quantity": 1}]}
    until = "2026-04-01T00:00:00Z"
    await clerk.post(0, [event("r", "shipment.reserved", **goods, shipped_at="2026-03-01T00:00:00Z", expires_at=until)])
    late = event("late", "shipment.shipped", **goods, shipped_at="2026-06-01T00:00:00Z", original_id="r")
    await clerk.post(0, [late])
    may = datetime(2026, 5, 1, tzinfo=UTC)
    assert await clerk.past(as_of=may) == {("country:IN", "2026", "reserved"): 15_832}

    await clerk.tick(LAST_MINUTE)
    assert await clerk.past(as_of=may) == {}
    assert [alert.kind for alert in await clerk.alerts()] == ["reservation.expired"]


async def test_what_an_account_keeps_of_its_bookings_is_small(open_book):
    clerk = await open_book()
    await clerk.post(0, [shipment(f"s-{number}") for number in range(1000)])
    size = await clerk.redis.memory_usage(clerk.keys.bookings(field_of("country:IN", "2026")), samples=0)

    assert size / 1000 < 16


def event(event_id, kind, *, time=None, **data):
    said = {"specversion": "1.0", "id": event_id, "source": "/tests", "type": kind, "data": data}
    return said | ({"time": time} if time else {})


def shipment(event_id, *, day="2026-03-01", quantity=1):
    lines = [{"model": "H100 SXM", "quantity": quantity}]
    return event(event_id, "shipment.shipped", shipped_at=f"{day}T00:00:00Z", destination="IN", lines=lines)

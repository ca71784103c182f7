"""A ledger on a real Redis, whatever happens to it and in whatever order: it holds what is reckoned by hand.

Hypothesis chooses the steps, and finds the shortest course that goes wrong. Producers write events of any type onto the
partitions of a log, some twice, some with a key that says something else already; workers post runs of it, late ones
runs that others have posted; time passes; and Redis falls back to what it was. After every step the ledger must hold
what the records up to its checkpoints come to, by `tests/reckoning.py`, which knows nothing of the product.
"""

import asyncio
import uuid
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from ledger.book.family import minute_number, minute_of
from ledger.book.position import Position
from ledger.errors import PositionLost
from tests import reckoning
from tests.histories import CHANNELS, CONSIGNEES, COUNTRIES, KNOWN, MOMENTS, TPP_STATED, UNKNOWN, WEIGHTS
from tests.live_redis.booking import LAST_MINUTE, MINUTES, POLICIES, levels_misjudged, open_desk

SHORT = settings(
    max_examples=28,
    stateful_step_count=30,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[*HealthCheck],
    deadline=None,
)
PERIODS = {"annual": "2026", "diffusion": "2025-2027"}

TIMES = [*map(minute_number, map(datetime.fromisoformat, MOMENTS)), *MINUTES, LAST_MINUTE]
WHEN = st.sampled_from([minute_of(minute).isoformat() for minute in TIMES])
COUNTS = st.integers(1, 5)
NEVER_SEEN = UNKNOWN[:3]
PARTS = st.sampled_from([KNOWN[0], *KNOWN[:2], KNOWN[4], KNOWN[7], *NEVER_SEEN, WEIGHTS])
"""Few, so that what comes back, and what is resolved, is often there."""

LINES = st.lists(st.builds(lambda part, count: part | {"quantity": count}, PARTS, COUNTS), min_size=1, max_size=3)
WORD = st.builds(lambda part, tpp: part | {"tpp_each": tpp}, st.sampled_from(NEVER_SEEN), st.sampled_from(TPP_STATED))
WORDS = {
    "lines": st.lists(WORD, min_size=1, max_size=2),
    "actor": st.just("a person"),
    "reason": st.just("looked it up"),
}
CHANNEL = st.fixed_dictionaries({"kind": st.sampled_from(CHANNELS), "holdings_tpp": st.sampled_from((None, 10**9))})
CONSIGNEE = st.sampled_from([consignee for consignee in CONSIGNEES if consignee])
GOODS = {"destination": st.sampled_from(COUNTRIES), "shipped_at": WHEN, "lines": LINES}
PARTIES = {"consignee": CONSIGNEE, "authorization": CHANNEL}

SOURCES = st.sampled_from(("/logistics/acme", "/customs"))
FIRST = st.sampled_from(("first-1", "first-2"))
"""Few, so that others name them, and so that some are stated in two ways: then the one that was posted first stands."""
LATER = st.integers(1, 60).map("later-{}".format)


def an_event(kind, ids, data, *, optional=None, names=None, time=False):
    """Events of one type.

    Args:
        ids: what they are called.
        data, optional: what they say, and may say.
        names: what the events that they name are called; None if they name none.
        time: whether they say when they were written.
    """
    data = data | ({"original_source": SOURCES, "original_id": names} if names is not None else {})
    said = {"source": SOURCES, "id": ids, "type": st.just(kind), "data": st.fixed_dictionaries(data, optional=optional)}
    return st.fixed_dictionaries({"specversion": st.just("1.0"), **said} | ({"time": WHEN} if time else {}))


def events_under(policy):
    """Events of every type, as a ledger under this policy takes them."""
    adjustment = {"country": st.sampled_from(COUNTRIES), "period": st.just(PERIODS[policy])}
    adjustment |= {"tpp": st.integers(-(10**6), 10**6), "actor": st.just("a person"), "reason": st.just("counted")}
    any_id = FIRST | FIRST | FIRST | FIRST | LATER
    return st.one_of(
        an_event("shipment.shipped", FIRST, GOODS, optional=PARTIES),
        an_event("shipment.reserved", FIRST, GOODS, optional=PARTIES | {"expires_at": WHEN}),
        an_event("shipment.shipped", LATER, GOODS, optional=PARTIES, names=any_id),
        an_event("shipment.returned", LATER, {}, optional={"lines": LINES, "shipped_at": WHEN}, names=any_id),
        an_event("shipment.cancelled", LATER, {}, optional={"shipped_at": WHEN}, names=any_id),
        an_event("shipment.corrected", LATER, GOODS, optional=PARTIES, names=any_id, time=True),
        an_event("shipment.resolved", LATER, WORDS, names=any_id, time=True),
        an_event("ledger.adjusted", LATER, adjustment),
        an_event("compute.used", LATER, GOODS, optional=PARTIES),
    )


PARTITIONS = st.integers(0, 2)
WRITTEN = {policy: st.lists(events_under(policy), min_size=1, max_size=8) for policy in POLICIES}


@dataclass
class Settled:
    """What the ledger must have settled.

    Attributes:
        stands: key -> the event that was the first to say something under it.
        ends: how many records of each partition.
        minute: up to which time has passed.
    """

    stands: dict = field(default_factory=dict)
    ends: Counter = field(default_factory=Counter)
    minute: int = MINUTES[0]


class Course(RuleBasedStateMachine):
    """The ledger, its log, and what both must come to."""

    redis_url: str

    def __init__(self):
        super().__init__()
        self.loop = asyncio.Runner()
        self.logs = [[], [], []]
        self.positions = [0, 0, 0]
        self.settled = Settled()

    def do(self, work):
        return self.loop.run(work)

    @initialize(policy=st.sampled_from(sorted(POLICIES)))
    def a_ledger_begins(self, policy):
        self.policy = policy
        self.desk = self.do(open_desk(Redis.from_url(self.redis_url), f"t-{uuid.uuid4().hex[:12]}", policy))
        self.desk.park = self.note_parked
        self.do(self.desk.tick(self.settled.minute))
        self.kept = [self.snapshot()]

    # ----------------------------------------------------------------------------------- Producers write, workers post

    @rule(partition=PARTITIONS, data=st.data(), count=st.integers(0, 12))
    def events_are_written_and_some_are_posted(self, partition, data, count):
        self.logs[partition] += data.draw(WRITTEN[self.policy], "events")
        self.a_worker_posts_a_run(partition, count)

    @rule(partition=PARTITIONS, of=PARTITIONS, number=st.integers(0, 50), count=st.integers(0, 12))
    def an_event_is_sent_again(self, partition, of, number, count):
        if self.logs[of]:
            self.logs[partition].append(self.logs[of][number % len(self.logs[of])])
        self.a_worker_posts_a_run(partition, count)

    def a_worker_posts_a_run(self, partition, count):
        begin = self.positions[partition]
        if run := self.logs[partition][begin : begin + count]:
            self.positions[partition] += len(run)
            self.post(partition, begin, run)

    @rule(partition=PARTITIONS, begin=st.integers(0, 20), count=st.integers(1, 12))
    def a_late_worker_posts_what_was_delivered(self, partition, begin, count):
        delivered = self.logs[partition][: self.positions[partition]]
        if run := delivered[begin : begin + count]:
            self.post(partition, begin, run)

    def post(self, partition, begin, run):
        """Post a run; what is to come of it follows from where it begins, and from what stands."""
        settled, self.parked = self.settled, set()
        if begin > settled.ends[partition]:
            with pytest.raises(PositionLost):
                self.do(self.desk.post_again(partition, begin, run))
            self.positions[partition] = self.checkpoint(partition) + 1
            return
        self.do(self.desk.post_again(partition, begin, run))
        contradicting = set()
        for offset, event in list(enumerate(run, start=begin))[settled.ends[partition] - begin :]:
            if settled.stands.setdefault(reckoning.key_of(event), event) != event:
                contradicting.add(offset)
            settled.ends[partition] = offset + 1
        assert self.parked == contradicting
        self.kept.append(self.snapshot())

    async def note_parked(self, unfit):
        assert {item.rejected.reason for item in unfit} == {"conflict"}
        self.parked |= {item.offset for item in unfit}

    @rule(minute=st.sampled_from(TIMES))
    def time_passes(self, minute):
        self.do(self.desk.tick(minute))
        self.settled.minute = max(self.settled.minute, minute)

    # ------------------------------------------------------------------------------------------------ Redis falls back

    @rule(which=st.integers(0, 20))
    def redis_falls_back(self, which):
        kept, self.settled = deepcopy(self.kept[which % len(self.kept)])
        self.do(self.desk.restore(kept))

    def snapshot(self):
        return self.do(self.desk.snapshot()), deepcopy(self.settled)

    # ---------------------------------------------------------------------------------------------------- What must be

    @invariant()
    def the_ledger_holds_what_is_reckoned(self):
        if self.do(self.desk.overdue(self.settled.minute)):
            return  # a reservation that came when its time was over is freed by the next tick
        balances, held_lines, waits, _ = self.reckoned()

        assert self.do(self.desk.balances()) == balances
        assert self.do(self.desk.waits()) == waits
        if self.policy == "annual":  # every day has its period
            assert self.do(self.desk.held_lines()) == held_lines

    @invariant()
    def every_account_has_noted_the_levels_that_it_stands_past(self):
        assert self.do(levels_misjudged(self.desk.redis, self.desk.keys.ledger, self.desk.rules)) == []

    def teardown(self):
        if hasattr(self, "desk"):
            self.at_last_everything_is_posted()
            self.do(self.desk.restore({}))
            self.do(self.desk.redis.aclose())
        self.loop.close()

    def at_last_everything_is_posted(self):
        for partition, log in enumerate(self.logs):
            end = self.settled.ends[partition]
            self.post(partition, end, log[end:])
        self.time_passes(LAST_MINUTE + 1)
        self.the_ledger_holds_what_is_reckoned()
        found = {key: self.do(self.desk.reader.decision(*key)).outcome for key in self.settled.stands}

        assert found == self.reckoned()[3]

    def reckoned(self):
        events, at = self.settled.stands.values(), minute_of(self.settled.minute)
        return reckoning.reckon_all(events, lambda _: self.policy, at)

    def checkpoint(self, partition):
        name = f"shipments:{partition}"
        return self.do(Position(self.desk.redis, self.desk.keys.ledger).checkpoints([name]))[name]


def test_whatever_happens_the_ledger_holds_what_is_reckoned_by_hand(redis_url):
    class Here(Course):
        pass

    Here.redis_url = redis_url
    run_state_machine_as_test(Here, settings=SHORT)

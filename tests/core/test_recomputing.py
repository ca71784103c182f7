"""What a ledger must hold, recomputed from its records: against the reckoning by hand, however they lie on the log."""

import json
from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.book.judged import Judged
from ledger.digests import digest_of_content, digest_of_key
from ledger.policy import load_policy
from ledger.replay.verify import Recomputation
from ledger.rules.adoptions import Rulebook
from ledger.rules.judge import judge
from schemas.adoption import Adoption
from schemas.cloudevents import read_event
from tests import reckoning
from tests.builders import shipment_document
from tests.histories import MOMENTS, history

POLICIES = {"annual": load_policy("annual-50k"), "diffusion": load_policy("diffusion-2025")}
AT = datetime(2026, 11, 22, tzinfo=UTC)
TIMES = [*map(datetime.fromisoformat, MOMENTS), datetime(2028, 1, 1, tzinfo=UTC)]
H100 = 15_832


def rulebook(*policies, begins=()):
    adoptions = [
        Adoption(number=number, policy_id=policy.id, policy_sha256=policy.sha256, adopted_at=AT, begins=begin)
        for number, (policy, begin) in enumerate(zip(policies, ({}, *begins), strict=True), 1)
    ]
    return Rulebook(len(adoptions), adoptions, {policy.sha256: policy for policy in policies}.__getitem__)


class Log:
    """A topic in lists, and what is recomputed of it."""

    def __init__(self, rules, partitions=3):
        self.rules, self.partitions = rules, [[] for _ in range(partitions)]

    def add(self, partition, document, *, spaces=0):
        """Write a document; returns its place."""
        self.partitions[partition].append(json.dumps(document).encode() + b" " * spaces)
        return partition, len(self.partitions[partition]) - 1

    def records(self):
        for partition, values in enumerate(self.partitions):
            for offset, value in enumerate(values):
                policy = self.rules.policy(self.rules.ruling(f"s:{partition}", offset).policy_sha256)
                event = read_event(value, default_source="/tests")
                yield partition, Judged.of(offset, 0, value, (), event=event, judged=judge(event, policy))

    def recompute(self, *, standing=None, minute=AT, not_expired=(), **hints):
        self.recomputation = Recomputation(self.rules, "s", **hints)
        for partition, record in self.records():
            self.recomputation.take(partition, record)
        self.read_twice = self.recomputation.wants_again
        if self.read_twice:
            for partition, record in self.records():
                self.recomputation.take_again(partition, record)
        return self.recomputation.settle(standing=standing or {}, minute=minute, not_expired=not_expired)

    def known(self):
        return set(self.recomputation.known())


def posted(told):
    return {account: amounts.posted_tpp for (account, _), amounts in told.balances.items()}


def key(event_id, source="/tests"):
    return digest_of_key(source, event_id)


@settings(max_examples=150)
@given(st.integers(1, 80), st.sampled_from(sorted(POLICIES)), st.sampled_from(TIMES), st.randoms())
def test_a_history_comes_to_what_is_reckoned_by_hand(count, policy, at, random):
    """In any order, on any partitions, some of it twice in other bytes, whatever was known beforehand."""
    events, foreknown = history(Random(random.getrandbits(32)), count), random.choice((0, 0.5, 1))
    log = Log(rulebook(POLICIES[policy]))
    for event in random.sample(events, count) + random.choices(events, k=count // 4):
        log.add(random.randrange(3), event, spaces=random.randrange(2))
    named = [digest_of_key(*reckoning.named_by(event)) for event in events if reckoning.named_by(event)]
    told = log.recompute(minute=at, related={one for one in named if random.random() < foreknown})

    balances, held, waits = Counter(), 0, {}
    for original, family in reckoning.families(events).items():
        found, lines, outcomes, _ = reckoning.reckon(original, family, lambda _: policy, at)
        balances += found
        held += len(lines)
        waits |= {name: "waiting" for name, outcome in outcomes.items() if outcome == "waiting"}
        waits |= {original: "held"} if lines else {}
    found = Counter()
    for (account, period), amounts in told.balances.items():
        found[account, period, "posted"] = amounts.posted_tpp
        found[account, period, "reserved"] = amounts.reserved_tpp
    assert Counter({place: tpp for place, tpp in found.items() if tpp}) == balances
    assert dict(told.waits.values()) == waits
    if policy == "annual":
        assert sum(amounts.held_lines for amounts in told.balances.values()) == held
    assert log.known() == {digest_of_key(*reckoning.key_of(event)) for event in events}
    assert log.recomputation.event_count == len(events)
    assert told.awaited == set(named) - log.known()
    assert (told.unfit, told.disputed, told.taken_now) == (set(), [], [])


def test_the_first_content_on_a_partition_stands_and_the_other_must_lie_among_the_rejects():
    log = Log(rulebook(POLICIES["annual"]))
    log.add(0, shipment_document(id="a", quantity=1))
    wrong = log.add(0, shipment_document(id="a", quantity=2))
    log.add(0, shipment_document(id="a", quantity=1), spaces=3)
    told = log.recompute()

    assert posted(told) == {"country:IN": H100}
    assert (told.unfit, told.disputed) == ({wrong}, [])
    assert len(log.recomputation.known_as(key("a"))) == 2
    assert log.recomputation.place_of(key("a")) == (0, 0)


@pytest.mark.parametrize(("word", "quantity"), [(None, 1), ((0, 0), 1), ((1, 0), 2), ((2, 7), 1)])
def test_of_contents_on_several_partitions_the_ledger_says_which_stands_and_they_are_named(word, quantity):
    log = Log(rulebook(POLICIES["annual"]))
    log.add(0, shipment_document(id="a", quantity=1))
    log.add(1, shipment_document(id="a", quantity=2))
    log.add(1, shipment_document(id="b", quantity=5))
    told = log.recompute(standing={key("a"): word} if word else {})

    assert list(log.recomputation.open_keys()) == [key("a")]
    assert posted(told) == {"country:IN": (quantity + 5) * H100}
    assert (told.unfit, told.disputed) == (set(), [("/tests", "a")])
    text = json.dumps(shipment_document(id="a", quantity=quantity)).encode()
    assert log.recomputation.known_as(key("a")) == [digest_of_content(text)]


def test_the_policy_of_a_records_place_charges_it_and_of_two_the_ledger_says_which():
    heavy = POLICIES["diffusion"]
    log = Log(rulebook(POLICIES["annual"], heavy, begins=[{"s:0": 1, "s:1": 0, "s:2": 0}]))
    log.add(0, shipment_document(id="a"))
    log.add(0, shipment_document(id="b"))
    log.add(1, shipment_document(id="a"))
    both = [("country:IN", "2026"), ("country:IN", "2025-2027")]

    assert set(log.recompute(standing={key("a"): (0, 0)}).balances) == set(both)
    told = log.recompute(standing={key("a"): (1, 0)})
    assert set(told.balances) == {both[1]}
    assert told.disputed == [("/tests", "a")]


def test_what_was_rejected_once_counts_only_if_the_ledger_says_so():
    log = Log(rulebook(POLICIES["annual"]))
    place = log.add(0, shipment_document(id="a"))

    told = log.recompute(parked={place})
    assert (told.balances, log.known()) == ({}, set())
    assert told.taken_now == [(("/tests", "a"), place)]
    assert list(log.recomputation.open_keys()) == [key("a")]

    told = log.recompute(parked={place}, standing={key("a"): place})
    assert posted(told) == {"country:IN": 64 * H100}

    log.add(1, shipment_document(id="a"))  # the replay
    told = log.recompute(parked={place}, standing={key("a"): (1, 0)})
    assert posted(told) == {"country:IN": 64 * H100}
    assert (told.taken_now, told.disputed) == ([], [])


def test_a_reservation_expires_when_the_ledger_has_seen_it_to():
    log = Log(rulebook(POLICIES["annual"]))
    expires_at = datetime(2026, 5, 1, tzinfo=UTC)
    log.add(0, shipment_document(id="r", type="shipment.reserved", expires_at=expires_at.isoformat()))

    assert log.recompute().balances == {}
    told = log.recompute(not_expired={key("r")})
    assert told.balances["country:IN", "2026"].reserved_tpp == 64 * H100
    assert told.due == {key("r"): expires_at}


def test_an_adjustment_is_booked_though_a_return_names_it():
    log = Log(rulebook(POLICIES["annual"]))
    said = {"country": "IN", "period": "2026", "tpp": 100, "actor": "eve", "reason": "counted anew"}
    log.add(0, {"specversion": "1.0", "id": "x", "source": "/tests", "type": "ledger.adjusted", "data": said})
    log.add(1, shipment_document(id="r", type="shipment.returned", original_id="x"))

    assert posted(log.recompute()) == {"country:IN": 100}


def test_a_plain_log_is_read_once_and_one_whose_families_are_known_too():
    log = Log(rulebook(POLICIES["annual"]))
    log.add(0, shipment_document(id="a"))
    log.add(0, shipment_document(id="b"))
    log.recompute()
    assert not log.read_twice

    log.add(1, shipment_document(id="r", type="shipment.returned", original_id="a"))
    assert set(log.recompute().families) == {key("a")}
    assert log.read_twice
    log.recompute(related={key("a")})
    assert not log.read_twice


def test_what_cannot_be_an_event_must_lie_among_the_rejects():
    log = Log(rulebook(POLICIES["annual"]))
    recomputation = Recomputation(log.rules, "s")
    recomputation.refuse(2, 7)

    assert recomputation.settle(standing={}, minute=AT, not_expired=()).unfit == {(2, 7)}

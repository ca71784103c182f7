"""Families as a whole: against a reckoning by hand, in every order, and laws that hold of all of them."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.policy import load_policy
from ledger.rules.families import Member, difference, settle_family
from ledger.rules.follower import original_of, own_key
from ledger.rules.judge import judge
from schemas.cloudevents import read_event
from tests import reckoning
from tests.histories import MOMENTS, history

POLICIES = {"annual": load_policy("annual-50k"), "diffusion": load_policy("diffusion-2025")}
TIMES = [datetime(2024, 1, 1, tzinfo=UTC), *map(datetime.fromisoformat, MOMENTS), datetime(2028, 1, 1, tzinfo=UTC)]

seeds, counts = st.integers(0, 2**32), st.integers(1, 200)

POLICY_OF = {
    "one": lambda _: "annual",
    "another": lambda _: "diffusion",
    "one after the other": lambda event: "annual" if event["id"] < "event-4" else "diffusion",
}


@cache
def _member(text, policy):
    event = read_event(text.encode(), default_source="/tests")
    return Member(event, judge(event, POLICIES[policy]))


def families(seed, count):
    return reckoning.families(history(Random(seed), count)).items()


def member_of(document, policy):
    return _member(json.dumps(document), policy)


def settled(key, documents, policy_of, at):
    return settle_family(key, [member_of(document, policy_of(document)) for document in documents], at=at)


def balances(charges):
    """What charges come to by (account, period, state)."""
    total = Counter()
    for charge in charges:
        total[charge.account, charge.period, charge.state] += charge.tpp
    return Counter({account: tpp for account, tpp in total.items() if tpp})


def test_a_history_follows_from_its_seed():
    assert history(Random(7), 50) == history(Random(7), 50) != history(Random(8), 50)
    assert [len(history(Random(7), count)) for count in (1, 2, 200)] == [1, 2, 200]


@settings(max_examples=200)
@given(seeds, counts, st.sampled_from(sorted(POLICY_OF)), st.sampled_from(TIMES))
def test_a_family_comes_to_what_is_reckoned_by_hand(seed, count, ruling, at):
    policy_of = POLICY_OF[ruling]
    for key, family in families(seed, count):
        found = settled(key, family, policy_of, at)
        expected, held, outcomes, moved = reckoning.reckon(key, family, policy_of, at)

        assert balances(found.charges) == expected
        assert {number for number, _ in found.held} == held
        assert {key: share.outcome for key, share in found.shares.items() if share.outcome} == outcomes
        for member, tpp in moved.items():
            assert {-charge.tpp for charge in found.shares[member].charges} <= {tpp}


@settings(max_examples=30)
@given(seeds, counts, st.sampled_from(TIMES), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(seed, count, at, random):
    for key, family in families(seed, count):
        again = random.sample(family, len(family)) + random.choices(family, k=3)

        assert settled(key, again, POLICY_OF["one"], at) == settled(key, family, POLICY_OF["one"], at)


@given(seeds, counts, st.sampled_from(sorted(POLICY_OF)), st.sampled_from(TIMES))
def test_what_stands_is_above_zero_and_is_what_the_events_bring_and_take(seed, count, ruling, at):
    for key, family in families(seed, count):
        found = settled(key, family, POLICY_OF[ruling], at)
        brought = balances(charge for share in found.shares.values() for charge in share.charges)
        stated = balances(charge for share in found.shares.values() for charge in share.charges if charge.tpp > 0)
        taken = balances(charge for share in found.shares.values() for charge in share.charges if charge.tpp < 0)

        assert all(charge.tpp > 0 for charge in found.charges)
        assert all(0 <= -tpp <= stated[account] for account, tpp in taken.items()), "never more than was stated"
        expired = Counter(dict.fromkeys(brought, found.expired_tpp)) if found.expired_tpp else Counter()
        assert brought - expired == balances(found.charges)
        if found.expired_tpp:
            assert set(brought.values()) == {found.expired_tpp}


@settings(max_examples=30)
@given(seeds, counts, st.randoms(use_true_random=False))
def test_booking_differences_as_events_arrive_ends_where_the_whole_stands_whatever_the_order(seed, count, random):
    at = TIMES[-4]
    ends, documents = [], history(Random(seed), count)
    for _ in range(2):
        random.shuffle(documents)
        book, stood, seen = Counter(), {}, {}
        for document in documents:
            member = member_of(document, "diffusion")
            seen[own_key(member.event)] = member
            touched = {own_key(member.event), original_of(member.event)} - {None}
            for key in touched:
                family = [one for own, one in seen.items() if own == key or original_of(one.event) == key]
                now = settle_family(key, family, at=at).charges
                for charge in difference(stood.get(key, ()), now):
                    book[charge.account, charge.period, charge.state] += charge.tpp
                    assert book[charge.account, charge.period, charge.state] >= 0
                stood[key] = now
        ends.append(Counter({account: tpp for account, tpp in book.items() if tpp}))
    whole = Counter()
    for key, family in families(seed, count):
        whole += reckoning.reckon(key, family, POLICY_OF["another"], at)[0]

    assert ends[0] == ends[1] == whole


@given(seeds, counts)
def test_a_settlement_says_when_time_alone_changes_it(seed, count):
    for key, family in families(seed, count):
        start = settled(key, family, POLICY_OF["one"], TIMES[0])
        end = settled(key, family, POLICY_OF["one"], TIMES[-1])
        if start.changes_at is None:
            assert (end.charges, end.held, end.dated()) == (start.charges, start.held, start.dated())
        else:
            just_before = settled(key, family, POLICY_OF["one"], start.changes_at - timedelta(minutes=1))
            then = settled(key, family, POLICY_OF["one"], start.changes_at)
            assert (just_before.charges, just_before.dated()) == (start.charges, start.dated())
            assert just_before.held == start.held
            assert (then.charges, then.held, then.changes_at) == ([], [], None)

"""Levels of a cap: each crossing told once, told again only after a real recovery."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.levels import FAR, Limits, Mark, quiet_range, settle

AT = datetime(2026, 5, 1, tzinfo=UTC)
LIMITS = Limits(1000, (75, 90, 100))


def told(*uses, limits=LIMITS):
    marks, all_told = {}, []
    for used in uses:
        marks, crossings = settle(marks, limits, used, AT)
        all_told += [(c.kind, c.level) for c in crossings]
    return all_told


def test_below_the_first_level_nothing_is_told():
    assert told(0, 749) == []


def test_reaching_a_level_to_the_unit_tells_it():
    assert told(750) == [("near", 75)]


def test_a_cap_that_does_not_divide_evenly_is_reached_from_the_first_unit_past_the_share():
    odd = Limits(1001, (75,))

    assert told(750, limits=odd) == []
    assert told(751, limits=odd) == [("near", 75)]


def test_a_jump_tells_all_levels_lowest_first():
    assert told(1001) == [("near", 75), ("near", 90), ("near", 100), ("exceeded", 100)]


def test_exactly_the_cap_is_the_last_level_and_not_past_it():
    assert told(1000)[-1] == ("near", 100)


def test_a_level_is_told_once_however_long_the_use_stays():
    assert told(750, 760, 899, 751) == [("near", 75)]


def test_falling_less_than_a_point_below_arms_nothing():
    assert told(760, 741, 760) == [("near", 75)]


def test_falling_a_point_below_is_told_and_arms_the_level_again():
    assert told(760, 740, 750) == [("near", 75), ("recovered", 75), ("near", 75)]


def test_a_fall_through_several_levels_names_the_highest():
    assert told(950, 100) == [("near", 75), ("near", 90), ("recovered", 90)]


def test_a_level_that_was_armed_again_counts_its_crossings_apart():
    marks, (first,) = settle({}, LIMITS, 750, AT)
    marks, _ = settle(marks, LIMITS, 0, AT)
    _, (second,) = settle(marks, LIMITS, 750, AT)

    assert (first.armed, second.armed) == (1, 2)


def test_without_a_cap_nothing_is_ever_told():
    free = Limits(None, (75, 90, 100))

    assert told(10**15, limits=free) == []
    assert quiet_range({}, free) == (-FAR, FAR)


def test_a_cap_of_nothing_knows_only_that_it_is_passed():
    assert told(0, 1, limits=Limits(0, (75, 100))) == [("exceeded", 100)]


@given(st.integers(1, 10**12), st.lists(st.integers(0, 2 * 10**12), max_size=12), st.integers(0, 2 * 10**12))
def test_within_the_quiet_range_nothing_is_told_and_at_its_edges_something_is(cap, history, used):
    limits, marks = Limits(cap, (75, 90, 100)), {}
    for step in history:
        marks, _ = settle(marks, limits, step, AT)
    start, end = quiet_range(marks, limits)

    _, crossings = settle(marks, limits, used, AT)
    assert bool(crossings) == (not start <= used < end)


@given(st.integers(1, 10**9), st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_splitting_a_shipment_never_changes_which_levels_are_crossed(cap, parts):
    limits = Limits(cap, (75, 90, 100))
    whole, _ = settle({}, limits, sum(parts), AT)
    marks, used = {}, 0
    for part in parts:
        used += part
        marks, _ = settle(marks, limits, used, AT)

    assert marks == whole
    assert all(mark == Mark(1, AT) for mark in marks.values())

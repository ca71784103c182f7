"""When a quota will be used up: the laws of the forecast, and how often what comes lies within its range."""

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.forecast import WEEKS_MAX, forecast, weeks_before

FIRST, TODAY, LAST = date(2026, 1, 1), date(2026, 7, 1), date(2026, 12, 31)
NEVER = date.max
H100 = 15_832


def by_day(weeks, today=TODAY):
    """Bookings that come to so much in each whole week before a day, the latest first, somewhere within the week."""
    return {today.toordinal() - 7 * (number + 1) + number % 7: tpp for number, tpp in enumerate(weeks)}


def foretold(weeks, left, **days):
    return forecast(by_day(weeks), left, **{"first": FIRST, "today": TODAY, "last": LAST} | days)


def days_of(found):
    return tuple(day or NEVER for day in (found.earliest_on, found.exhausted_on, found.latest_on))


amounts = st.integers(-10_000, 50_000).map(lambda chips: chips * H100)
some_weeks = st.lists(amounts, min_size=WEEKS_MAX, max_size=WEEKS_MAX).filter(lambda weeks: sum(map(bool, weeks)) > 2)
lefts = st.integers(1, 1_000_000_000)


def test_weeks_that_are_all_alike_tell_one_day():
    found = foretold([70] * WEEKS_MAX, 1000)

    assert days_of(found) == (TODAY + timedelta(days=100),) * 3
    assert (found.pace_tpp_per_week, found.weeks) == (70, 12)


def test_weeks_that_differ_tell_a_range_around_it():
    found = foretold([70, 140, 0] * 4, 1000)

    assert found.earliest_on < found.exhausted_on == TODAY + timedelta(days=100) < found.latest_on


def test_what_is_reached_only_after_the_period_has_no_day():
    assert days_of(foretold([70] * WEEKS_MAX, 70 * 26 + 10)) == (LAST,) * 3
    assert days_of(foretold([70] * WEEKS_MAX, 70 * 27)) == (NEVER,) * 3
    assert foretold([-70] * WEEKS_MAX, 1000).exhausted_on is None


@pytest.mark.parametrize(
    ("weeks", "left", "today"),
    [
        ([70] * 12, 0, TODAY),
        ([70] * 12, -1, TODAY),
        ([70] * 3, 1000, FIRST + timedelta(days=27)),
        ([0] * 10 + [1000, 1000], 1000, TODAY),
        ([], 1000, TODAY),
    ],
    ids=["nothing is left", "past the cap", "the period is young", "shipped in two weeks", "nothing shipped"],
)
def test_of_too_little_nothing_is_foretold(weeks, left, today):
    assert forecast(by_day(weeks, today), left, first=FIRST, today=today, last=LAST) is None


def test_a_young_period_is_told_by_the_weeks_that_it_has():
    today = FIRST + timedelta(days=30)
    found = forecast(by_day([7] * 12, today), 7, first=FIRST, today=today, last=LAST)

    assert (found.weeks, found.exhausted_on) == (4, today + timedelta(days=7))


def test_only_whole_weeks_before_today_count():
    day = TODAY.toordinal()

    assert weeks_before(TODAY, {day: 9, day - 1: 1, day - 7: 2, day - 8: 4, day - 84: 8, day - 85: 16}, FIRST) == [
        *(3, 4, *[0] * 9, 8)
    ]


@given(some_weeks, lefts)
def test_the_range_holds_the_day_and_no_day_is_before_today(weeks, left):
    found = foretold(weeks, left)

    assert days_of(found)[0] >= TODAY
    assert list(days_of(found)) == sorted(days_of(found))
    assert found.pace_tpp_per_week == round(sum(weeks) / WEEKS_MAX)


@given(some_weeks, lefts, st.integers(0, 10**9))
def test_with_more_left_no_day_is_sooner(weeks, left, more):
    sooner, later = days_of(foretold(weeks, left)), days_of(foretold(weeks, left + more))

    assert all(one <= other for one, other in zip(sooner, later, strict=True))


@given(some_weeks, lefts, st.integers(2, 64))
def test_the_unit_of_amounts_changes_no_day(weeks, left, factor):
    found = foretold(weeks, left, last=NEVER)
    scaled = foretold([tpp * factor for tpp in weeks], left * factor, last=NEVER)

    pairs = zip(days_of(found), days_of(scaled), strict=True)
    assert all(abs((one - other).days) <= 1 for one, other in pairs), "but for rounding at midnight"


@given(some_weeks, lefts)
def test_the_order_of_the_weeks_does_not_matter(weeks, left):
    assert foretold(weeks, left) == foretold(sorted(weeks), left)


def test_eight_of_ten_futures_lie_within_the_range():
    """Shipments of differing sizes at random times, reckoned day by day: the range is made without knowing how."""
    dice, within, count = random.Random(7), 0, 400
    far = TODAY + timedelta(days=3650)

    def shipped():
        return sum(dice.choice((8, 64, 256, 1000)) for _ in range(3) if dice.random() < 0.1)

    for _ in range(count):
        days = {TODAY.toordinal() - ago: shipped() for ago in range(1, 85)}
        found = forecast(days, 20_000, first=FIRST, today=TODAY, last=far)
        used, day = 0, TODAY - timedelta(days=1)
        while used < 20_000:
            day += timedelta(days=1)
            used += shipped()
        within += days_of(found)[0] <= day <= days_of(found)[2]

    assert 0.74 <= within / count <= 0.86

"""When a quota will be used up if the recent weeks go on. Pure: bookings by day, and the day itself, are arguments.

The weeks to come are taken to be independent of each other and to vary as the recent ones did. With n weeks of mean m
and standard deviation s behind it, a future of t weeks brings m·t, give or take q·s·√(t + t²/n): the spread of t weeks,
and that of a mean of n (the prediction interval of a sum; q is Student's quantile for n - 1 degrees of freedom). Both
ends of the range are where that equals what is left of the cap: the roots of one quadratic equation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from schemas.quota_status import Forecast

WEEKS_MAX = 12
"""Older weeks say nothing of the recent pace."""

WEEKS_MIN = 4
WEEKS_MOVED_MIN = 3
"""Weeks with bookings: of one or two shipments no pace can be told."""

METHOD = (
    f"The mean of the last whole weeks (up to {WEEKS_MAX}) goes on, by shipping date; "
    "8 of 10 futures that vary as those weeks did lie within the range."
)

_QUANTILES = (1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363)
"""Student's, one-sided 90 %, for 3 to 11 degrees of freedom: one in ten futures lies beyond either end."""

_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True, eq=False)
class BookedByDay:
    """What was booked on one account, in TPP, by the day (`date.toordinal`) from which it counts.

    Two of them are the same only if they are one: so forecasts can be remembered by them.
    """

    posted: Mapping[int, int]
    reserved: Mapping[int, int]

    def used(self, *, reserved_counts: bool) -> Mapping[int, int]:
        """What counts as used: what is posted, and what is reserved where the policy says so."""
        if not reserved_counts:
            return self.posted
        days = self.posted.keys() | self.reserved.keys()
        return {day: self.posted.get(day, 0) + self.reserved.get(day, 0) for day in days}


def forecast(by_day: Mapping[int, int], left_tpp: int, *, first: date, today: date, last: date) -> Forecast | None:
    """When an account will be used up at the recent pace.

    Args:
        by_day: what was booked on it, in TPP, by day (`date.toordinal`).
        left_tpp: what is left of its cap.
        first: the period's first day.
        today: the day of the question, UTC, within the period.
        last: the period's last day.

    Returns:
        None if nothing is left, or if the period is too young, or too few of its weeks saw bookings, to tell a pace.
    """
    weeks = weeks_before(today, by_day, first)
    if left_tpp <= 0 or len(weeks) < WEEKS_MIN or sum(map(bool, weeks)) < WEEKS_MOVED_MIN:
        return None
    pace = sum(weeks) / len(weeks)
    earliest, latest = _range(weeks, left_tpp)
    middle = left_tpp / pace if pace > 0 else math.inf
    return Forecast(
        exhausted_on=_day(today, middle, last),
        earliest_on=_day(today, min(earliest, middle), last),  # the order holds, but for rounding
        latest_on=_day(today, max(latest, middle), last),
        pace_tpp_per_week=round(pace),
        weeks=len(weeks),
        method=METHOD,
    )


def weeks_before(today: date, by_day: Mapping[int, int], first: date) -> list[int]:
    """What each of the last whole weeks before a day came to, in TPP, the latest first; none begins before `first`."""
    end, count = today.toordinal(), min(WEEKS_MAX, (today - first).days // _WEEK_DAYS)
    starts = range(end - _WEEK_DAYS, end - _WEEK_DAYS * count - 1, -_WEEK_DAYS)
    return [sum(by_day.get(day, 0) for day in range(start, start + _WEEK_DAYS)) for start in starts]


def _range(weeks: Sequence[int], left_tpp: int) -> tuple[float, float]:
    """The numbers of weeks after which the cap may be reached at the earliest and at the latest; infinite: never."""
    count, total = len(weeks), sum(weeks)
    mean = total / count
    variance = (count * sum(tpp * tpp for tpp in weeks) - total**2) / (count * (count - 1))
    spread = _QUANTILES[count - WEEKS_MIN] ** 2 * variance
    a, b = mean**2 - spread / count, 2 * left_tpp * mean + spread  # of a·t² - b·t + left² = 0
    quarter = spread * (spread / 4 + left_tpp * (mean + left_tpp / count))  # of b² - 4·a·left², without its rounding
    if quarter < 0:
        return math.inf, math.inf
    root = 2 * math.sqrt(quarter)
    earliest = 2 * left_tpp**2 / (b + root) if b + root > 0 else math.inf
    latest = (b + root) / (2 * a) if mean > 0 and a > 0 else math.inf
    return earliest, latest


def _day(today: date, weeks: float, last: date) -> date | None:
    days = weeks * _WEEK_DAYS
    return today + timedelta(days=int(days)) if days < (last - today).days + 1 else None

"""The periods in which quotas are counted, as texts (`2026`, `2026-Q1`, `2025-2027`) and as days. All days are UTC."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol

from ledger.errors import WrongCall

YEARS = "calendar-year"
QUARTERS = "quarter"
SPAN = re.compile(r"(?P<first>[0-9]{4})-(?P<last>[0-9]{4})")
"""A span of years that counts as one period, such as `2025-2027`."""

_YEAR = re.compile(r"[0-9]{4}")
_NO_YEARS = ("0000", "9999")
"""The first is none; the end of the other cannot be told as a time. No shipment is of either."""
_QUARTER = re.compile(r"(?P<year>[0-9]{4})-Q(?P<quarter>[1-4])")
_DAY = timedelta(days=1)


class Periods(Protocol):
    """One way of cutting time into periods."""

    phrase: str
    """What a cap is a cap of, as in "may use so much in a calendar year"."""

    def of(self, day: date) -> str | None:
        """The period a day lies in; None outside all."""

    def days(self, period: str) -> tuple[date, date]:
        """The first and the last day of a period.

        Raises:
            WrongCall: the text names none.
        """


class CalendarYears:
    """Each calendar year is a period of its own, named by its four digits."""

    phrase = "in a calendar year"

    def of(self, day: date) -> str | None:
        """The period a day lies in."""
        return f"{day.year:04d}"

    def days(self, period: str) -> tuple[date, date]:
        """The first and the last day of a period.

        Raises:
            WrongCall: `period` is no year, or one of `_NO_YEARS`.
        """
        if not _YEAR.fullmatch(period) or period in _NO_YEARS:
            raise WrongCall(f"{period!r} is no period; write a calendar year, such as 2026")
        year = int(period)
        return date(year, 1, 1), date(year, 12, 31)


class Quarters:
    """Each quarter of a calendar year is a period of its own, such as `2026-Q1`."""

    phrase = "in a quarter"

    def of(self, day: date) -> str | None:
        """The period a day lies in."""
        return f"{day.year:04d}-Q{(day.month + 2) // 3}"

    def days(self, period: str) -> tuple[date, date]:
        """The first and the last day of a period.

        Raises:
            WrongCall: `period` is no quarter.
        """
        named = _QUARTER.fullmatch(period)
        if named is None or named["year"] in _NO_YEARS:
            raise WrongCall(f"{period!r} is no period; write a quarter, such as 2026-Q1")
        year, quarter = int(named["year"]), int(named["quarter"])
        after = date(year, 3 * quarter + 1, 1) if quarter < 4 else date(year + 1, 1, 1)  # noqa: PLR2004  a year has four
        return date(year, 3 * quarter - 2, 1), after - _DAY


class OneSpan:
    """Some years together are the only period there is, such as `2025-2027`; days outside lie in none."""

    def __init__(self, span: str) -> None:
        named = SPAN.fullmatch(span)
        assert named is not None, "a policy's period is checked when it is read"
        self._name = span
        self._first, self._last = date(int(named["first"]), 1, 1), date(int(named["last"]), 12, 31)
        self.phrase = f"in {named['first']} to {named['last']} together"

    def of(self, day: date) -> str | None:
        """The span, if the day lies in it."""
        return self._name if self._first <= day <= self._last else None

    def days(self, period: str) -> tuple[date, date]:
        """The first and the last day of the span.

        Raises:
            WrongCall: `period` is another.
        """
        if period != self._name:
            raise WrongCall(f"{period!r} is no period; the only one is {self._name}")
        return self._first, self._last


def periods_of_kind(kind: str) -> Periods:
    """The periods that a policy counts by: `calendar-year`, `quarter`, or a span of years such as `2025-2027`."""
    if kind == YEARS:
        return CalendarYears()
    return Quarters() if kind == QUARTERS else OneSpan(kind)


def period_kind(kind: str) -> str:
    """Check that a policy's `period` is one; its end is told as a time, which that of the year 9999 cannot be.

    Raises:
        ValueError: with what to write.
    """
    named = SPAN.fullmatch(kind)
    if kind in (YEARS, QUARTERS) or (named and "0000" < named["first"] <= named["last"] < "9999"):
        return kind
    raise ValueError(f"write {YEARS}, {QUARTERS}, or a span of years such as 2025-2027")


def begins_quarter(day: date) -> bool:
    """Whether a day is the first of a quarter."""
    return day.day == 1 and day.month % 3 == 1


def ends_quarter(day: date) -> bool:
    """Whether a day is the last of a quarter that is a period: no quarter of the year 9999 is."""
    return day.year < date.max.year and begins_quarter(day + _DAY)


def quarters_from(period: str, last: str) -> Sequence[str]:
    """A quarter and those that follow it, up to the last one; only itself if it comes later."""
    quarters = Quarters()
    found = [period]
    while found[-1] < last:
        following = quarters.of(quarters.days(found[-1])[1] + _DAY)
        assert following is not None
        found.append(following)
    return tuple(found)

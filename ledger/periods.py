"""The periods in which quotas are counted, as texts (`2026`) and as days. All days are UTC."""

import re
from datetime import date

from ledger.errors import WrongCall

_YEAR = re.compile(r"[0-9]{4}")
_NO_YEARS = ("0000", "9999")
"""The first is none; the end of the other cannot be told as a time. No shipment is of either."""


class CalendarYears:
    """Each calendar year is a period of its own, named by its four digits."""

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

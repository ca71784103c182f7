"""The query parameters that several calls take, each with its form as OpenAPI tells it.

Where a rule knows better what is wrong and what to write (a country, a period, a cursor), the form is told here and
the rule answers.
"""

import re
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Query
from pydantic import AwareDatetime, ValidatorFunctionWrapHandler, WrapValidator

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _rfc3339(given: Any, read: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(given, str) and _DATE_AND_TIME.match(given):
        with suppress(ValueError):
            return read(given)
    advice = "write an RFC 3339 time with its offset, such as 2026-03-01T22:10:00Z"
    raise ValueError(f"{advice} (a + in an address is a space: write %2B)")


def _told(pattern: str) -> dict[str, Any]:
    return {"json_schema_extra": {"pattern": pattern}}


Moment = Annotated[AwareDatetime, WrapValidator(_rfc3339)]
"""A time with its offset; not a bare number, which pydantic would take for seconds since 1970."""

COUNTRY_FORM = "^[A-Z]{2}$"
Country = Annotated[str | None, Query(description="only about this country, ISO 3166-1 alpha-2", **_told(COUNTRY_FORM))]
Period = Annotated[
    str | None,
    Query(max_length=20, description="`2026`; the current one if absent", **_told("^[0-9]{4}(-Q[1-4]|-[0-9]{4})?$")),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="items in a page, at most")]


ALERT_CURSOR = "^[1-9][0-9]{0,15}$"


def cursor_form(max_length: int, pattern: str) -> Any:
    """The parameter `cursor` of a call whose cursors have this form."""
    return Query(max_length=max_length, description="the `next` of the page before", **_told(pattern))

"""GET /v1/quotas and /v1/quotas/{iso2}: how much of each quota is used; …/entries: by what."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from ledger.errors import WrongCall
from schemas.decision import Status
from schemas.entry import EntryList
from schemas.quota_status import QuotaList, QuotaStatus
from streams.api.answers import UnknownCountry, entries_of, past_quota_of, quota_list, quota_of
from streams.api.csv_answer import DOCUMENTED, Format
from streams.api.freshness import TAGGED, Tagged, tag, tagged
from streams.api.parameters import COUNTRY_FORM, Limit, Moment, Period, cursor_form
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer, documented

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])

Iso2 = Annotated[str, Path(description="ISO 3166-1 alpha-2, or XK", json_schema_extra={"pattern": COUNTRY_FORM})]
_LISTED = TAGGED | {200: DOCUMENTED}
_AS_OF = "as it was at that moment by what the events say: counts what occurred up to then, to the second"
_KNOWN_AT = "as the ledger knew it at that moment: counts what was posted up to then, under the policy of then"


@router.get("", response_model=QuotaList, responses=_LISTED | documented(422))
async def list_quotas(
    request: Request,
    parts: PartsHere,
    *,
    period: Period = None,
    tier: Annotated[int | None, Query(ge=1, le=3, description="only countries of this tier")] = None,
    status: Annotated[Status | None, Query(description="only countries in this state")] = None,
    form: Format = "json",
) -> Response:
    """Every country's balance in one period, by country code. Answered from a copy that is at most 0.1 s old."""
    today = parts.clock().astimezone(UTC).date()

    async def make() -> Tagged:
        found = await quota_list(parts.reader, period, today)
        items = [item for item in found.items if tier in (None, item.tier) and status in (None, item.status)]
        return tag(request, found.model_copy(update={"items": items}), found.freshness, as_csv=form == "csv")

    answer = await parts.copies.get((period, today, tier, status, form), make)
    return answer.sent(request)


@router.get("/{iso2}", response_model=QuotaStatus, responses=TAGGED | documented(404, 422))
async def show_quota(
    request: Request,
    parts: PartsHere,
    iso2: Iso2,
    *,
    period: Period = None,
    as_of: Annotated[Moment | None, Query(description=_AS_OF)] = None,
    known_at: Annotated[Moment | None, Query(description=_KNOWN_AT)] = None,
) -> Response:
    """One country's balance in one period, as it is or as it was."""
    as_of, known_at = _in_utc("as_of", as_of), _in_utc("known_at", known_at)
    try:
        if as_of is None and known_at is None:
            found = await quota_of(parts.reader, iso2, period, parts.clock().astimezone(UTC).date())
        else:
            found = await past_quota_of(parts.reader, iso2, period, as_of=as_of, known_at=known_at)
    except UnknownCountry as failure:
        raise ProblemAnswer(404, "unknown-country", str(failure)) from None
    return tagged(request, found, found.freshness)


@router.get("/{iso2}/entries", response_model=EntryList, responses=_LISTED | documented(404, 422))
async def list_entries(
    request: Request,
    parts: PartsHere,
    iso2: Iso2,
    *,
    period: Period = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="which was posted first")] = "newest",
    cursor: Annotated[str | None, cursor_form(64, "^[0-9]{1,15}-[0-9]{1,15}$")] = None,
    limit: Limit = 100,
    form: Format = "json",
) -> Response:
    """Every booking on one country's account in one period, with the running balance."""
    today = parts.clock().astimezone(UTC).date()
    newest = order == "newest"
    try:
        found = await entries_of(parts.reader, iso2, period, today, newest_first=newest, cursor=cursor, limit=limit)
    except UnknownCountry as failure:
        raise ProblemAnswer(404, "unknown-country", str(failure)) from None
    return tagged(request, found, found.freshness, as_csv=form == "csv")


def _in_utc(name: str, moment: datetime | None) -> datetime | None:
    """A moment in UTC, which the calendar's first and last days may not have."""
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        raise WrongCall(f"{name}: there is no such time in UTC") from None

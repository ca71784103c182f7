"""GET /v1/quotas and /v1/quotas/{iso2}: how much of each quota is used."""

from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from schemas.decision import Status
from schemas.quota_status import QuotaList, QuotaStatus
from streams.api.answers import UnknownCountry, quota_list, quota_of
from streams.api.freshness import tagged
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer, documented

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])

Period = Annotated[str | None, Query(max_length=20, description="`2026`; the current one if absent")]
_TAGGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "as the caller holds it; the header Quota-Freshness says how fresh that is"}
}


@router.get("", response_model=QuotaList, responses=_TAGGED | documented(422))
async def list_quotas(
    request: Request,
    parts: PartsHere,
    period: Period = None,
    tier: Annotated[int | None, Query(ge=1, le=3, description="only countries of this tier")] = None,
    status: Annotated[Status | None, Query(description="only countries in this state")] = None,
) -> Response:
    """Every country's balance in one period, by country code."""
    found = await quota_list(parts.reader, period, parts.clock().astimezone(UTC).date())
    items = [item for item in found.items if tier in (None, item.tier) and status in (None, item.status)]
    return tagged(request, found.model_copy(update={"items": items}), found.freshness)


@router.get("/{iso2}", response_model=QuotaStatus, responses=_TAGGED | documented(404, 422))
async def show_quota(
    request: Request,
    parts: PartsHere,
    iso2: Annotated[str, Path(description="ISO 3166-1 alpha-2, or XK")],
    period: Period = None,
) -> Response:
    """One country's balance in one period."""
    try:
        found = await quota_of(parts.reader, iso2, period, parts.clock().astimezone(UTC).date())
    except UnknownCountry as failure:
        raise ProblemAnswer(404, "unknown-country", str(failure)) from None
    return tagged(request, found, found.freshness)

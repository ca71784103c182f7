"""GET /v1/alerts: what was told, in pages."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from schemas.quota_alert import AlertKind, QuotaAlert
from streams.api.answers import check_country, policy_in_force
from streams.api.csv_answer import DOCUMENTED, Format
from streams.api.freshness import TAGGED, tagged
from streams.api.parameters import ALERT_CURSOR, Country, Limit, Moment, cursor_form
from streams.api.parts import PartsHere
from streams.api.problems import documented

router = APIRouter(prefix="/v1", tags=["alerts"])


class AlertPage(BaseModel):
    """Alerts, the newest first; `next` asks for older ones, null where there are none."""

    items: list[QuotaAlert]
    next: str | None


@router.get("/alerts", response_model=AlertPage, responses=TAGGED | {200: DOCUMENTED} | documented(422))
async def list_alerts(
    request: Request,
    parts: PartsHere,
    *,
    kind: Annotated[AlertKind | None, Query(description="only of this kind")] = None,
    country: Country = None,
    since: Annotated[Moment | None, Query(description="only recorded at or after this time")] = None,
    cursor: Annotated[str | None, cursor_form(16, ALERT_CURSOR)] = None,
    limit: Limit = 100,
    form: Format = "json",
) -> Response:
    """The alert feed, the newest first."""
    if country is not None:
        check_country(await policy_in_force(parts.reader), country)
    items, following = await parts.feed.page(after=cursor, count=limit, kind=kind, country=country, since=since)
    return tagged(request, AlertPage(items=items, next=following), as_csv=form == "csv")

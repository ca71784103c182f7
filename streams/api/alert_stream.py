"""GET /v1/alerts/stream: alerts as they come, as server-sent events (WHATWG HTML §9.2).

A client that comes back with `Last-Event-ID`, as EventSource does by itself, goes on where it was; the ids are the
cursors of `feed.py`, which stay good when this process is another one. A stream begins by an id without an alert, so
that a client which heard of none yet comes back to where it began, not to what is told after it came back. An id that
lies ahead of every alert is of a feed that was lost: the stream begins anew, and does not wait for the new one to grow.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from ledger.errors import LedgerUnavailable, WrongCall
from schemas.quota_alert import AlertKind
from streams.api.answers import check_country, policy_in_force
from streams.api.parameters import Country, Moment
from streams.api.parts import PartsHere
from streams.api.problems import documented
from streams.webhooks.feed import Feed, Filters, is_cursor

router = APIRouter(prefix="/v1", tags=["alerts"])

HEARTBEAT_S = 15.0
"""A comment is sent as often, so that nobody on the way takes a quiet stream for a dead one."""

_AWAY_S = 1.0
"""Between two looks at a Redis that is away."""

_BEGIN = b"retry: 2000\nid: %s\n\n"
_BEGIN_ANEW = b"id: %s\n\n"
_HEARTBEAT = b": nothing new\n\n"
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "`event: alert`, `id:` the cursor, `data:` the alert; comments while there is none",
    }
}


@router.get(
    "/alerts/stream",
    response_class=StreamingResponse,
    responses=_STREAMED | documented(422),
)
async def stream_alerts(
    parts: PartsHere,
    *,
    kind: Annotated[AlertKind | None, Query(description="only of this kind")] = None,
    country: Country = None,
    since: Annotated[Moment | None, Query(description="begin with what was recorded at this time")] = None,
    last_event_id: Annotated[str | None, Header(description="begin behind this alert")] = None,
) -> StreamingResponse:
    """Alerts as they come: from now on, from `since`, or behind `Last-Event-ID`."""
    if country is not None:
        check_country(await policy_in_force(parts.reader), country)
    if last_event_id and not is_cursor(last_event_id):
        raise WrongCall("Last-Event-ID: send the id that the stream told last, or leave it out")
    cursor = last_event_id or await parts.feed.beginning(since)
    told = _told(parts.feed, cursor, Filters(kind, country, since))
    return StreamingResponse(told, media_type="text/event-stream", headers=_HEADERS)


async def _told(feed: Feed, cursor: str, filters: Filters) -> AsyncGenerator[bytes]:
    """The events of one stream, which waits for a Redis that is away: a browser asks no more once it was told 503."""
    yield _BEGIN % cursor.encode()
    said_at, resumed = time.monotonic(), False
    while True:
        try:
            if not resumed:
                before, cursor = cursor, await feed.resume(cursor, filters.since)
                resumed = True
                if cursor != before:
                    yield _BEGIN_ANEW % cursor.encode()
            found, cursor = await feed.newer(cursor, filters)
        except LedgerUnavailable:
            found, resumed = [], False
            await asyncio.sleep(_AWAY_S)
        for place, alert in found:
            yield b"event: alert\nid: %s\ndata: %s\n\n" % (place.encode(), alert.model_dump_json().encode())
        if found or time.monotonic() - said_at > HEARTBEAT_S:
            if not found:
                yield _HEARTBEAT
            said_at = time.monotonic()

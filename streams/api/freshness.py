"""ETag and 304: an answer that says the same has the same tag, however fresh it is."""

import hashlib
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from schemas.quota_status import Freshness
from streams.api.csv_answer import MEDIA_TYPE as CSV
from streams.api.csv_answer import csv_headers, csv_text

HEADER = "Quota-Freshness"
"""Carries the freshness as JSON, in a 304 too, which has no body."""

TAGGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "as the caller holds it; the header Quota-Freshness says how fresh that is"}
}
"""What a route that answers `tagged` adds to its OpenAPI `responses`."""

_APART: dict[str, Any] = {"freshness": True, "items": {"__all__": {"freshness"}}}


def tagged(
    request: Request, answer: BaseModel, freshness: Freshness | None = None, *, as_csv: bool = False
) -> Response:
    """An answer with its tag, or 304 if the caller holds just that.

    Args:
        request: whose `If-None-Match` names what the caller holds.
        answer: what to say.
        freshness: how fresh it is, where that can be said.
        as_csv: of a list: its items as CSV.
    """
    if as_csv:
        said = csv_text(answer)
    else:
        said = answer.model_dump_json(exclude=_APART if "items" in type(answer).model_fields else {"freshness"})
    tag = f'"{hashlib.sha256(said.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if freshness is not None:
        headers[HEADER] = freshness.model_dump_json()
    held = [known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")]
    if tag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    if as_csv:
        headers |= csv_headers(request, getattr(answer, "next", None))
        return Response(said, headers=headers, media_type=CSV)
    return Response(answer.model_dump_json(), headers=headers, media_type="application/json")

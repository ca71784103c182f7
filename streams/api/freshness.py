"""ETag and 304: an answer that says the same has the same tag, however fresh it is."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from schemas.quota_status import Freshness, apart_from_freshness
from streams.api.csv_answer import MEDIA_TYPE as CSV
from streams.api.csv_answer import csv_headers, csv_text

JSON = "application/json"

HEADER = "Quota-Freshness"
"""Carries the freshness as JSON, in a 304 too, which has no body."""

TAGGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "as the caller holds it; the header Quota-Freshness says how fresh that is"}
}
"""What a route that answers `tagged` adds to its OpenAPI `responses`."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """An answer, ready to be sent to whoever does not hold it yet."""

    body: bytes
    media_type: str
    headers: dict[str, str]

    def sent(self, request: Request) -> Response:
        """The answer, or 304 if the caller names its tag in `If-None-Match`."""
        held = [known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")]
        if self.headers["ETag"] in held or "*" in held:
            return Response(status_code=304, headers=self.headers)
        return Response(self.body, headers=self.headers, media_type=self.media_type)


def etag_of(said: bytes) -> str:
    """The tag of what is said."""
    return f'"{hashlib.sha256(said).hexdigest()[:32]}"'


def tag(request: Request, answer: BaseModel, freshness: Freshness | None = None, *, as_csv: bool = False) -> Tagged:
    """An answer with its tag.

    Args:
        request: whose address names the next page.
        answer: what to say.
        freshness: how fresh it is, where that can be said.
        as_csv: of a list: its items as CSV.
    """
    headers = {"Cache-Control": "no-cache"}
    if freshness is not None:
        headers[HEADER] = freshness.model_dump_json()
    if as_csv:
        said = csv_text(answer)
        headers |= csv_headers(request, getattr(answer, "next", None))
    else:
        said = apart_from_freshness(answer)
    headers["ETag"] = etag_of(said.encode())
    body = said if as_csv else answer.model_dump_json()
    return Tagged(body.encode(), CSV if as_csv else JSON, headers)


def tagged(
    request: Request, answer: BaseModel, freshness: Freshness | None = None, *, as_csv: bool = False
) -> Response:
    """An answer with its tag, or 304 if the caller holds just that. Arguments as of `tag`."""
    return tag(request, answer, freshness, as_csv=as_csv).sent(request)

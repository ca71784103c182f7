"""The page's session: a person types a key once, the browser keeps it in a cookie that no script can read.

The cookie holds the key itself and nothing is kept here, so a revoked key ends its sessions with the next call.
`admission` says when a call may come in by it.
"""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ValidationError

from streams.api.admission import SESSION_COOKIE, read_body, refuse_other_origins, scopes_in_force
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer

router = APIRouter(prefix="/page/session", include_in_schema=False, dependencies=[Depends(refuse_other_origins)])

_SENT_WITH = "/v1"
_KEPT_S = 30 * 86_400
_BODY_MAX_BYTES = 1024


class _Opening(BaseModel):
    key: str


@router.post("", status_code=204)
async def open_session(request: Request, parts: PartsHere) -> Response:
    """Keep a key that is in force: `{"key": "qk_…"}`; 401 if it is not."""
    try:
        key = _Opening.model_validate_json(await read_body(request, _BODY_MAX_BYTES)).key.strip()
    except ValidationError:
        raise ProblemAnswer(422, "invalid-request", 'send the key as in {"key": "qk_…"}') from None
    await scopes_in_force(key, parts.keys)
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        SESSION_COOKIE,
        key,
        max_age=_KEPT_S,
        path=_SENT_WITH,
        secure=_came_by_https(request),
        httponly=True,
        samesite="strict",
    )
    return answer


@router.delete("", status_code=204)
async def close_session() -> Response:
    """Drop the key."""
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(SESSION_COOKIE, path=_SENT_WITH, httponly=True, samesite="strict")
    return answer


def _came_by_https(request: Request) -> bool:
    """Whether the browser speaks https, be it to a proxy before this endpoint: its `Origin` says so."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")

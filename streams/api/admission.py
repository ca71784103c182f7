"""Who may call, and how large a body may be.

With `QUOTA_AUTH=off` this machine's own programs may call; a web page in its browser may not.
"""

from urllib.parse import urlsplit

from fastapi import Request

from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

BODY_MAX_BYTES = 128 * 1024
"""Twice the largest event; a route that takes lists allows more."""


async def admit(request: Request, parts: PartsHere) -> None:
    """Let a call pass, or end it with 401 or 403.

    Without keys an attacker's page could call through a visitor's browser: one that is served elsewhere names itself
    in `Origin`, one that made its own name point here shows that name in `Host`. Both are refused.
    """
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ProblemAnswer(403, "forbidden", f"a page of {origin} may not call this endpoint")
    if parts.settings.auth == "off":
        if urlsplit(f"//{host}").hostname not in _LOOPBACK:
            raise ProblemAnswer(403, "forbidden", f"call it by a loopback address, not as {host}: keys are off")
        return
    detail = "this endpoint asks for a key, and keys are not given out by this version; see QUOTA_AUTH"
    raise ProblemAnswer(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


async def read_body(request: Request, max_bytes: int = BODY_MAX_BYTES) -> bytes:
    """The request's body, read no further than it may be long. Routes read it themselves, after `admit`.

    Raises:
        ProblemAnswer: it is longer, 413.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            detail = f"the body is longer than {max_bytes:,} bytes; send less at a time"
            raise ProblemAnswer(413, "too-large", detail, headers={"Connection": "close"})
    return bytes(body)

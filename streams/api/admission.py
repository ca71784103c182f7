"""Who may call, and how large a body may be.

With `QUOTA_AUTH=required` a call needs a key whose scopes open it: as bearer, or in the cookie that `session` sets for
the page at `/`. With `off` this machine's own programs may call; a web page in its browser may not.
"""

import difflib
import math
from collections import Counter
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from schemas.problem import ProblemError
from streams.api.key_ring import KeyRing
from streams.api.keys import SCOPES, id_and_secret, opens, scopes_of
from streams.api.parts import Parts, PartsHere
from streams.api.problems import ProblemAnswer

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

SESSION_COOKIE = "quota_key"
"""Holds the key of a person who looks at the page."""

BODY_MAX_BYTES = 128 * 1024
"""Twice the largest event; a route that takes lists allows more."""

_bearer = HTTPBearer(
    scheme_name="key",
    bearerFormat="qk_<id>_<secret>",
    description="A key of `quota-ledger keys create`. What stands beside it is the scope that a call needs.",
    auto_error=False,
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def admit(request: Request, parts: PartsHere, wanted: SecurityScopes, bearer: _Bearer) -> None:
    """Let a call pass that its caller may make, or end it with 401, 403 or 429.

    An attacker's page could call through a visitor's browser: one that is served elsewhere names itself in `Origin`,
    one that made its own name point here shows that name in `Host`, which counts where no key is asked for. A cookie
    comes along whoever calls, so it opens nothing to a call that may be another page's.
    """
    await refuse_other_origins(request)
    if parts.settings.auth == "off":
        host = request.headers.get("host", "")
        if _hostname(host) not in _LOOPBACK:
            raise ProblemAnswer(403, "forbidden", f"call it by a loopback address, not as {host}: keys are off")
        scopes = SCOPES
    elif bearer is None and _called_by_own_page(request):
        scopes = await _admitted(request.cookies.get(SESSION_COOKIE, ""), parts)
    else:
        scopes = await _admitted(bearer.credentials if bearer else "", parts)
    for scope in wanted.scopes:
        if not opens(scopes, scope):
            raise lacking(scope)
    request.state.scopes = scopes


async def refuse_other_origins(request: Request) -> None:
    """End a call with 403 that a browser makes for a page which is served elsewhere."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise ProblemAnswer(403, "forbidden", f"a page of {origin} may not call this endpoint")


def _hostname(host: str) -> str | None:
    """What stands before the port; None if the header is no host, such as `[::1` without its other bracket."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _called_by_own_page(request: Request) -> bool:
    """Whether a browser calls for a page of this endpoint, or for the person at its address bar.

    Browsers say so themselves (`Sec-Fetch-Site`), but not to an address that is neither https nor loopback; there they
    still name the `Origin`, already compared, of every call that could change something.
    """
    site = request.headers.get("sec-fetch-site")
    if site is None:
        return request.method in {"GET", "HEAD"} or "origin" in request.headers
    return site in {"same-origin", "none"}


async def _admitted(key: str, parts: Parts) -> frozenset[str]:
    """What a key opens that is in force, and was not used too often."""
    scopes = await scopes_in_force(key, parts.keys)
    if wait_s := parts.throttle.wait_s(id_and_secret(key)[0]):
        seconds = math.ceil(wait_s)
        limit = f"{parts.settings.key_calls_per_s:g} calls a second"
        detail = (
            f"this key is good for {limit}: call again in {seconds} s; /v1/shipments takes lists, and ETags cost little"
        )
        raise ProblemAnswer(429, "too-many-requests", detail, headers={"Retry-After": str(seconds)})
    return scopes


async def scopes_in_force(text: str, keys: KeyRing) -> frozenset[str]:
    """What a key opens. One that is missing, malformed, unknown or revoked takes one way, to one answer.

    Raises:
        ProblemAnswer: it opens nothing, 401.
    """
    key_id, secret = id_and_secret(text)
    scopes = scopes_of(await keys.find(key_id), secret)
    if scopes is None:
        detail = "send a key that is in force, as in Authorization: Bearer qk_…; `quota-ledger keys create` makes one"
        raise ProblemAnswer(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
    return scopes


async def refuse_stray_parameters(request: Request) -> None:
    """End a call with 422 of which a query parameter would be passed over: its route does not know it, or has two."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    errors = []
    for name, count in sorted(Counter(name for name, _ in request.query_params.multi_items()).items()):
        near = difflib.get_close_matches(name, known, n=1)
        there_are = f"there are {', '.join(sorted(known))}" if known else "this call takes none"
        hint = f"did you mean {near[0]}?" if near else there_are
        if name not in known:
            errors.append(ProblemError(reason="bad_value", field=name, advice=f"there is no such parameter; {hint}"))
        elif count > 1:
            advice = f"it stands there {count} times; write it once"
            errors.append(ProblemError(reason="bad_value", field=name, advice=advice))
    if errors:
        detail = "; ".join(f"{error.field}: {error.advice}" for error in errors)
        raise ProblemAnswer(422, "invalid-request", detail, errors=errors)


def lacking(scope: str) -> ProblemAnswer:
    """The answer to a key that is right, but not for this."""
    return ProblemAnswer(403, "forbidden", f"this needs a key with the scope {scope}; yours has not got it")


async def _scopes_here(request: Request) -> frozenset[str]:
    scopes: frozenset[str] = request.state.scopes
    return scopes


ScopesHere = Annotated[frozenset[str], Depends(_scopes_here)]
"""What the caller's key opens, once `admit` has let the call pass."""


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

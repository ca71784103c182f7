"""Who may call, and how large a body may be.

With `QUOTA_AUTH=required` a call needs a bearer key whose scopes open it. With `off` this machine's own programs may
call; a web page in its browser may not.
"""

import difflib
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from schemas.problem import ProblemError
from streams.api.key_ring import KeyRing
from streams.api.keys import SCOPES, id_and_secret, opens, scopes_of
from streams.api.parts import PartsHere
from streams.api.problems import ProblemAnswer

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

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
    """Let a call pass that its caller may make, or end it with 401 or 403.

    An attacker's page could call through a visitor's browser: one that is served elsewhere names itself in `Origin`,
    one that made its own name point here shows that name in `Host`, which counts where no key is asked for.
    """
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ProblemAnswer(403, "forbidden", f"a page of {origin} may not call this endpoint")
    if parts.settings.auth == "off":
        if urlsplit(f"//{host}").hostname not in _LOOPBACK:
            raise ProblemAnswer(403, "forbidden", f"call it by a loopback address, not as {host}: keys are off")
        scopes = SCOPES
    else:
        scopes = await _scopes_of(bearer, parts.keys)
    for scope in wanted.scopes:
        if not opens(scopes, scope):
            raise lacking(scope)
    request.state.scopes = scopes


async def _scopes_of(bearer: HTTPAuthorizationCredentials | None, keys: KeyRing) -> frozenset[str]:
    """What the caller's key opens. One that is missing, malformed, unknown or revoked takes one way, to one answer."""
    key_id, secret = id_and_secret(bearer.credentials if bearer else "")
    scopes = scopes_of(await keys.find(key_id), secret)
    if scopes is None:
        detail = "send a key that is in force, as in Authorization: Bearer qk_…; `quota-ledger keys create` makes one"
        raise ProblemAnswer(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
    return scopes


async def refuse_unknown_parameters(request: Request) -> None:
    """End a call with 422 that names a query parameter which its route does not know: it would be passed over."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    errors = []
    for name in sorted(set(request.query_params) - known):
        near = difflib.get_close_matches(name, known, n=1)
        there_are = f"there are {', '.join(sorted(known))}" if known else "this call takes none"
        hint = f"did you mean {near[0]}?" if near else there_are
        errors.append(ProblemError(reason="bad_value", field=name, advice=f"there is no such parameter; {hint}"))
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

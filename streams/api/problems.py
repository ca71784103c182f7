"""Every error as problem+json (RFC 9457) with a stable type: what went wrong and what to do."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from ledger.errors import LedgerUnavailable, WrongCall
from schemas.fields import advice_of
from schemas.problem import MEDIA_TYPE, Problem, ProblemError
from schemas.rejected_record import RejectedRecord
from streams.webhooks.desk import UnknownWebhook

_TITLES = {
    "bad-request": "The request cannot be read",
    "unauthorized": "A key is needed",
    "forbidden": "This caller may not ask here",
    "not-found": "There is nothing here",
    "unknown-country": "No country has this code",
    "unknown-webhook": "There is no such webhook, or delivery",
    "unknown-event": "The ledger has not seen this event",
    "method-not-allowed": "This address does not take this method",
    "too-large": "The body is too large",
    "too-many-requests": "This key is used too often",
    "invalid-request": "The request cannot be fulfilled as it stands",
    "invalid-event": "An event cannot be read or judged",
    "internal-error": "Something unforeseen went wrong here",
    "unavailable": "A part of the ledger is away",
    "not-ready": "Not ready",
}
_NAME_OF_STATUS = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's words, where Python before 3.13 has older ones."""


class ProblemAnswer(Exception):  # noqa: N818  an answer, as HTTPException is
    """Raised by a route to end the request with a problem."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        errors: Iterable[ProblemError] = (),
        headers: dict[str, str] | None = None,
        kind: type[Problem] = Problem,
        **more: Any,
    ) -> None:
        """Say what is wrong.

        Args:
            status: the HTTP status.
            name: the last part of the problem's type.
            detail: what is wrong with this request, and what to do.
            errors: each thing that is wrong.
            headers: to be sent along.
            kind: the model, where a problem has fields beside the usual ones.
            more: those fields.
        """
        super().__init__(detail)
        self._problem = kind(
            type=f"urn:quota-ledger:problem:{name}",
            title=_TITLES[name],
            status=status,
            detail=detail,
            errors=list(errors),
            **more,
        )
        self._headers = headers or {}

    def response(self) -> Response:
        """The problem as it goes out."""
        body = self._problem.model_dump_json().encode()
        return Response(body, self._problem.status, {"Cache-Control": "no-store"} | self._headers, MEDIA_TYPE)


def rejected_event(failure: RejectedRecord, where: str = "") -> list[ProblemError]:
    """What is wrong with an event; `where` says which of the request's events it is."""
    return [
        ProblemError(reason=error.reason, field=".".join(filter(None, (where, error.field))), advice=error.advice)
        for error in failure.errors
    ]


def documented(*statuses: int, models: dict[int, type[Problem]] | None = None) -> dict[int | str, dict[str, Any]]:
    """Problems for a route's OpenAPI `responses`; every route may also answer 401, 403, 429 and 503."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 403, 429, 503, *statuses}):
        model = (models or {}).get(status, Problem)
        schema = {"$ref": f"#/components/schemas/{model.__name__}"}
        told[status] = {
            "description": _PHRASES.get(status) or HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
    return told


def _methods_at(app: FastAPI, request: Request) -> list[str]:
    """Every method that an address takes: the router names those of the first route that it finds there."""
    path = request.scope["path"]
    found = (calls for template, calls in app.openapi()["paths"].items() if compile_path(template)[0].match(path))
    methods = {method.upper() for calls in found for method in calls}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def install_problems(app: FastAPI) -> None:
    """Answer everything that a route raises with a problem."""

    @app.exception_handler(ProblemAnswer)
    async def _problem(_: Request, answer: ProblemAnswer) -> Response:
        return answer.response()

    @app.exception_handler(LedgerUnavailable)
    async def _away(_: Request, failure: LedgerUnavailable) -> Response:
        return ProblemAnswer(503, "unavailable", str(failure), headers={"Retry-After": "1"}).response()

    @app.exception_handler(UnknownWebhook)
    async def _unknown(_: Request, failure: UnknownWebhook) -> Response:
        return ProblemAnswer(404, "unknown-webhook", str(failure)).response()

    @app.exception_handler(WrongCall)
    async def _wrong(_: Request, failure: WrongCall) -> Response:
        return ProblemAnswer(422, "invalid-request", str(failure)).response()

    @app.exception_handler(RejectedRecord)
    async def _rejected(_: Request, failure: RejectedRecord) -> Response:
        return ProblemAnswer(422, "invalid-event", failure.detail, errors=rejected_event(failure)).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, failure: RequestValidationError) -> Response:
        errors = [
            ProblemError(
                reason="missing_field" if found["type"] == "missing" else "bad_value",
                field=".".join(map(str, found["loc"][1:])),
                advice=advice_of(found),
            )
            for found in failure.errors()
        ]
        detail = "; ".join(f"{error.field}: {error.advice}" for error in errors)
        return ProblemAnswer(422, "invalid-request", detail, errors=errors).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, failure: HTTPException) -> Response:
        name = _NAME_OF_STATUS.get(failure.status_code, "bad-request")
        detail = f"{request.method} {request.url.path}: {failure.detail}; the calls are listed at /docs"
        headers = dict(failure.headers or {})
        if failure.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_at(app, request)):
            headers["Allow"] = ", ".join(methods)
        return ProblemAnswer(failure.status_code, name, detail, headers=headers).response()

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, __: Exception) -> Response:
        detail = "the endpoint's log says more; nothing was changed by a call that only asks"
        return ProblemAnswer(500, "internal-error", detail).response()

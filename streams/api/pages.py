"""The page at / and the list of calls at /docs: files of our own and plain HTML, nothing from elsewhere."""

from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from streams.api.freshness import Tagged, etag_of

router = APIRouter(include_in_schema=False)

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page/world.json": ("world.json", "application/json"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""What the page is made of: the file and its media type, by address."""


def _serve(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("streams.api").joinpath("page", name).read_bytes()
    answer = Tagged(content, media_type, {**_HEADERS, "ETag": etag_of(content)})

    async def served(request: Request) -> Response:
        return answer.sent(request)

    return served


for _address, _file in _FILES.items():
    router.add_api_route(_address, _serve(*_file))


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every call with its parameters, from the OpenAPI document."""
    calls = [
        _call(method, path, operation)
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    return _page("Calls", '<p>As a document: <a href="/openapi.json">/openapi.json</a></p>' + "".join(calls))


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<dt><code>{escape(parameter['name'])}</code> ({parameter['in']})</dt>"
        f"<dd>{escape(parameter.get('description', ''))}</dd>"
        for parameter in operation.get("parameters", ())
    )
    answers = ", ".join(
        f"{status} {escape(answer.get('description', ''))}" for status, answer in operation["responses"].items()
    )
    scopes = ", ".join(scope for scheme in operation.get("security", ()) for scope in scheme["key"])
    needs = f"<p>Needs a key with the scope <code>{scopes}</code>.</p>" if scopes else ""
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"{needs}<dl>{parameters}</dl><p>Answers: {answers}</p>"
    )


def _page(title: str, body: str) -> HTMLResponse:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    head += '<link rel="icon" href="/page/icon.svg"><link rel="stylesheet" href="/page/page.css">'
    text = f'<!doctype html><html lang="en"><head>{head}</head><body><main class="prose"><h1>{title}</h1>{body}</main>'
    return HTMLResponse(text + "</body></html>", headers=_HEADERS)

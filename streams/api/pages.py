"""The page at / and the list of calls at /docs: plain HTML of our own, nothing from elsewhere."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = (
    ":root{color-scheme:light dark} body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;"
    "padding:0 1rem} code{font-family:ui-monospace,monospace} dt{margin-top:.5rem}"
)
_LINKS = (
    ("/v1/quotas", "every country's balance"),
    ("/v1/quotas/IN", "one country's balance: India"),
    ("/v1/alerts", "the alerts"),
    ("/v1/policy", "the policy in force"),
    ("/readyz", "whether all parts are there"),
    ("/docs", "every call"),
    ("/openapi.json", "the same as OpenAPI 3.1"),
)


@router.get("/")
async def front_page() -> HTMLResponse:
    """Where to look."""
    links = "".join(f'<li><a href="{path}">{path}</a>: {what}</li>' for path, what in _LINKS)
    return _page("quota-ledger", f"<p>Quotas of AI chips by country, debited from shipments.</p><ul>{links}</ul>")


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
    text = f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body><h1>{title}</h1>{body}'
    return HTMLResponse(text + "</body></html>", headers=_HEADERS)

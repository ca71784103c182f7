"""HEAD is answered wherever GET is, as HTTP wants it (RFC 9110, 9.3.2): load balancers and `curl -I` ask so."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """A middleware by which the routes see HEAD as the GET that it stands for. The server omits the body itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the call on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)

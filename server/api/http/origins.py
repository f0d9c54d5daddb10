"""Origins: the web pages whose scripts may use this server."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.http.intake import READING
from server.api.http.problem import Problem

_REFUSAL = (
    "Pages of other origins may not do this. If yours should, start the server with --cors-origins "
    "and its origin."
)


class TrustedOrigins:
    """Refuses whatever the scripts of other pages send to change or compute something.

    What they ask to read needs no refusal: without CORS the browser keeps the answer from them.
    """

    def __init__(self, app: ASGIApp, trusted: Collection[str]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["method"] in READING or self._trusts(scope):
            return await self._app(scope, receive, send)
        refusal = Problem.of(HTTPException(403, _REFUSAL))
        return await refusal.response(scope["state"]["request_id"])(scope, receive, send)

    def _trusts(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        # Only browsers send one, and they always do.
        origin = headers.get("origin")
        if origin is None or origin in self._trusted or "*" in self._trusted:
            return True
        # The scheme is left out: behind a proxy, the page's may be another than ours.
        _, _, own = origin.lower().partition("://")
        return bool(own) and own == headers.get("host", "").lower()

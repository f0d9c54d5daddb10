"""Identity: every request has an id, which its response and its log lines carry."""

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.logs import request_id

HEADER = "x-request-id"

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def new_id(prefix: str) -> str:
    """Make an id that is not met again."""
    return f"{prefix}-{uuid4().hex}"


class RequestIds:
    """Keeps a well-formed `x-request-id` or makes one, as `request.state.request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under its id."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(HEADER, "")
        name = given if _WELL_FORMED.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = name
        # Each request has a task of its own, and so what is set here.
        request_id.set(name)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        return await self._app(scope, receive, named)

"""Answered by: every response says which version of a task's delta it comes from."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.engine.request import Call

HEADER = "x-polydelta-version"


class AnsweredBy:
    """Names the version that a request was given to, errors included, where there is just one.

    The call whose versions these are is `request.state.call`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and name its version with the response's headers."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and (version := _version(scope)):
                MutableHeaders(scope=message)[HEADER] = version
            await send(message)

        return await self._app(scope, receive, named)


def _version(scope: Scope) -> str:
    call = scope.get("state", {}).get("call")
    if not isinstance(call, Call) or len(call.versions) != 1:
        return ""
    (ref,) = call.versions
    return ref.version

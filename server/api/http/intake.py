"""Intake: which requests are not even looked at."""

from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.http.problem import Problem
from server.engine.engine import Engine
from server.errors import Overloaded, ShuttingDown, Unavailable

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


class Intake:
    """Refuses requests beyond `limit` at once, and new work or changes while the server drains.

    Checks of health pass in any case.
    """

    def __init__(self, app: ASGIApp, engine: Engine, limit: int) -> None:
        self._app = app
        self._engine = engine
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before its body is read."""
        if scope["type"] != "http" or scope["path"].startswith("/health"):
            return await self._app(scope, receive, send)
        if refusal := self._refusal(scope["method"]):
            response = Problem.of(refusal).response(scope["state"]["request_id"])
            return await response(scope, receive, send)
        self._open += 1
        try:
            return await self._app(scope, receive, send)
        finally:
            self._open -= 1

    def _refusal(self, method: str) -> Unavailable | None:
        if self._engine.draining and method not in READING:
            return ShuttingDown("The server is shutting down; try another one.")
        if self._open >= self._limit:
            return Overloaded(f"The server has {self._limit} requests at once; try again shortly.")
        return None

"""Rate limits of requests: a tenant over its own is refused before a body is read."""

from dataclasses import replace

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.http.problem import Problem
from server.api.rates import Rates
from server.api.scopes import need_of
from server.errors import RateLimited
from server.registry.keys import Key
from server.registry.keys import Scope as KeyScope


class RateLimits:
    """Refuses what a tenant asks beyond its rates, and tells with every answer what is left."""

    def __init__(self, app: ASGIApp, rates: Rates) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before its body is read."""
        key = _key(scope)
        tenant = None if key is None else self._rates.tenant(key.tenant)
        if tenant is None or not _asks_for_answers(scope):
            return await self._app(scope, receive, send)
        try:
            self._rates.take(tenant)
        except RateLimited as refusal:
            problem = Problem.of(refusal)
            told = {**problem.headers, **self._rates.headers(tenant)}
            response = replace(problem, headers=told).response(scope["state"]["request_id"])
            return await response(scope, receive, send)

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._rates.headers(tenant))
            await send(message)

        return await self._app(scope, receive, telling)


def _key(scope: Scope) -> Key | None:
    return scope["state"].get("key") if scope["type"] == "http" else None


def _asks_for_answers(scope: Scope) -> bool:
    need = need_of(scope["method"], scope["path"])
    return need is not None and need.scopes == (KeyScope.INFER,)

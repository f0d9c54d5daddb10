"""Keys of requests: whoever has none is refused before a body is read, once there are any."""

import time
from collections import OrderedDict

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.http.problem import Problem
from server.api.scopes import need_of
from server.errors import Forbidden, ServerError, TooManyAttempts, Unauthorized
from server.registry.access import Access
from server.registry.keys import Key

_ATTEMPTS = 60
"""Wrong keys that an address may send in a minute."""

_MINUTE = 60.0
_ADDRESSES = 10_000

_WANTED = (
    "This server wants an API key: send it as Authorization: Bearer KEY, or X-Api-Key. Its "
    "operator makes them with polydelta key add."
)


class KeyCheck:
    """Refuses requests that lack a key, or whose key is not good for the route.

    What is let through has its key in `scope["state"]["key"]`, or none where no keys are used.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._wrong = _Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before its body is read."""
        if scope["type"] != "http" or not self._access.keys.required:
            return await self._app(scope, receive, send)
        try:
            self._check(scope)
        except ServerError as refusal:
            response = Problem.of(refusal).response(scope["state"]["request_id"])
            return await response(scope, receive, send)
        return await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        need = need_of(scope["method"], scope["path"])
        if need is not None and not need.scopes:
            return
        key = self._key(scope)
        # What no route takes is told so to whoever has a key.
        if need is not None and not need.allows(key):
            wanted = " or ".join(need.scopes)
            whose = ", of no tenant" if need.operators else ""
            raise Forbidden(f"This needs a key with the scope {wanted}{whose}.")
        scope["state"]["key"] = key

    def _key(self, scope: Scope) -> Key:
        text = sent_key(Headers(scope=scope))
        if not text:
            raise Unauthorized(_WANTED)
        key = self._access.keys.find(text)
        if key is None:
            client = HTTPConnection(scope).client
            self._wrong.count(client.host if client else "")
            raise Unauthorized("This API key is not, or no longer, known here.")
        return key


class Permit:
    """What a request was let through by, to be asked again later: time passes with its body."""

    def __init__(self, access: Access, scope: Scope) -> None:
        self._access = access
        self._need = need_of(scope["method"], scope["path"])
        self._text = sent_key(Headers(scope=scope))

    def check(self) -> None:
        """Raise Unauthorized or Forbidden once the request would be refused."""
        keys = self._access.keys
        if self._need is None or not self._need.scopes or not keys.required:
            return
        key = keys.find(self._text)
        if key is None:
            raise Unauthorized(
                "The API key of this request is no longer good; ask again with another."
            )
        if not self._need.allows(key):
            raise Forbidden("The API key of this request is no longer good for it.")


class _Attempts:
    """Counts wrong keys by address and minute."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """Count one more; raises TooManyAttempts where there were too many."""
        now = time.monotonic()
        since, count = self._counts.pop(address, (now, 0))
        if now - since >= _MINUTE:
            since, count = now, 0
        self._counts[address] = since, count + 1
        if len(self._counts) > _ADDRESSES:
            self._counts.popitem(last=False)
        if count >= _ATTEMPTS:
            wait = since + _MINUTE - now
            raise TooManyAttempts("Too many wrong API keys came from this address.", wait)


def sent_key(headers: Headers) -> str:
    """The key that a request carries, if it does."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")

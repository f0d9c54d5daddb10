"""Limits: how large, how slow and how encoded a request's body may be."""

import asyncio
import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.http.patience import Patience
from server.api.http.problem import Problem

MAX_JSON_BYTES = 1 << 20
"""Parsing lets no other thread run, so far less is taken than of uploads."""


class BodyLimits:
    """Refuses bodies that are too large, too slow or compressed."""

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body under watch, or refuse it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        limit = _Limit(MAX_JSON_BYTES, "split the request into smaller ones.")
        if _is_upload(scope, headers):
            limit = _Limit(self._max_upload_bytes, "the server's --max-body-mb sets this limit.")
        refusal = _refusal(headers, limit)
        if refusal:
            response = Problem.of(refusal).response(scope["state"]["request_id"])
            return await response(scope, receive, send)
        return await self._app(scope, _Watched(receive, limit), send)


@dataclass(frozen=True)
class _Limit:
    """How many bytes a body may have, and what to do with one that has more."""

    bytes: int
    advice: str

    def refusal(self) -> HTTPException:
        text = f"The body has more than the {self.bytes} bytes that are taken here"
        return HTTPException(413, f"{text}: {self.advice}")


@dataclass
class _Watched:
    """Receives a body within its limit."""

    receive: Receive
    limit: _Limit
    received: int = 0
    ended: bool = False
    patience: Patience = field(default_factory=Patience)

    async def __call__(self) -> Message:
        if self.ended:
            return await self.receive()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.patience.left):
                message = await self.receive()
        except TimeoutError:
            raise HTTPException(408, "The body comes too slowly; send it again.") from None
        size = len(message.get("body", b""))
        self.patience.spend(time.monotonic() - begun, size)
        self.received += size
        if self.received > self.limit.bytes:
            raise self.limit.refusal()
        self.ended = not message.get("more_body", False)
        return message


def _is_upload(scope: Scope, headers: Headers) -> bool:
    # Nothing else is put, and no other route writes what it receives to disk.
    form = headers.get("content-type", "").startswith("multipart/form-data")
    return form and scope["method"] == "PUT"


def _refusal(headers: Headers, limit: _Limit) -> HTTPException | None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        return HTTPException(415, "Send the body as it is: no content encoding is taken.")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit.bytes:
        return limit.refusal()
    return None

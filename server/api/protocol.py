"""The protocol: what is refused before it is a request."""

import asyncio

import h11
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.api.identity import new_id
from server.api.problem import Problem

MAX_HEAD_BYTES = 16 << 10
"""Size of a request's line and headers together."""

HEAD_TIMEOUT = 20.0
"""Seconds within which a request's line and headers must come."""


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that gives up on heads that are too slow, and answers what it refuses."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Expect the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of a head that has begun."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        super().connection_lost(exc)
        self._unwatch()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request."""
        large = len(self.conn.trailing_data[0]) > MAX_HEAD_BYTES
        error = HTTPException(431, "The headers are too large.")
        self._refuse(error if large else HTTPException(400, msg))

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._timer is None:
            late = HTTPException(408, "The rest of the request did not come.")
            self._timer = self.loop.call_later(HEAD_TIMEOUT, self._refuse, late)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: HTTPException) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = Problem.of(error).response(new_id("req"))
            headers = [*response.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=response.status_code, headers=headers),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

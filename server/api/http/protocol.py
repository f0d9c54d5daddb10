"""The protocol: connections, before what they bring is a request and after it is answered."""

import asyncio
import logging
from functools import partial
from typing import Any, ClassVar

import h11
from starlette.exceptions import HTTPException
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.api.http.delivery import Delivery
from server.api.http.framing import Framing
from server.api.http.identity import new_id
from server.api.http.places import Places
from server.api.http.problem import Problem
from server.api.http.turns import Turns

# What strangers send is answered: a line for each would fill disks.
_failures = logging.getLogger(f"{__name__}.failures")
_failures.setLevel(logging.ERROR)

HEAD_TIMEOUT = 20.0
"""Seconds within which a request's line and headers must come."""

REST_TIMEOUT = 5.0
"""Seconds for which a client may still send a body that is answered already."""

_URGENT = b"GET /health"


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that gives up on clients that are too slow, and answers what it refuses.

    uvicorn makes one of a class for each connection, so what a server's connections share is the
    class's.
    """

    places: ClassVar[Places]
    turns: ClassVar[Turns]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _failures
        self.conn = self._framing = Framing()
        self._delivery: Delivery
        self._timer: asyncio.TimerHandle | None = None
        self._timed: type[Any] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Expect the first head."""
        super().connection_made(transport)
        self._delivery = Delivery(transport)
        self._watch()
        self.places.make_room(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Take bytes: those that begin a request wait for their turn, but for a check of health."""
        if self.conn.their_state is h11.IDLE and not data.startswith(_URGENT):
            self.transport.pause_reading()
            self._unset_keepalive_if_required()
            self.places.busy(self.transport)
            self.turns.take(partial(self._begin, data))
        else:
            self._take(data)

    def on_response_complete(self) -> None:
        """Expect the rest of the body, or the next head."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Watch the reader."""
        super().pause_writing()
        self._delivery.falls_behind()

    def resume_writing(self) -> None:
        """Leave the reader alone."""
        super().resume_writing()
        self._delivery.catches_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        super().connection_lost(exc)
        self._delivery.catches_up()
        self._unwatch()
        self.places.busy(self.transport)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request."""
        self._refuse(self._framing.refusal or HTTPException(400, msg))

    def _begin(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._take(data)

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Time the client while it is the one to act."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY):
            self.places.busy(self.transport)
            self._unwatch()
            return
        self.places.idle(self.transport)
        state = self.conn.their_state
        if state is not self._timed:
            self._unwatch()
            self._timed = state
            if state is h11.IDLE:
                late = HTTPException(408, "The rest of the request did not come.")
                self._timer = self.loop.call_later(HEAD_TIMEOUT, self._refuse, late)
            elif state is h11.SEND_BODY:
                self._timer = self.loop.call_later(REST_TIMEOUT, self.transport.abort)

    def _unwatch(self) -> None:
        self._timed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: HTTPException) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            if self.cycle:
                # Nothing that its route still answers is to follow this.
                self.cycle.disconnected = True
            response = Problem.of(error).response(new_id("req"))
            headers = [*response.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=response.status_code, headers=headers),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

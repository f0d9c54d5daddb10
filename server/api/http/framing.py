"""Framing: where a request's head and body end, said in one way and within bounds."""

import h11
from starlette.exceptions import HTTPException

MAX_HEAD_BYTES = 16 << 10
"""Size of a request's line and headers together, and of what may follow a body in chunks."""


class Framing(h11.Connection):
    """HTTP/1.1 that holds every head to its bound, however much of it comes at once."""

    refusal: HTTPException | None = None
    """Why the last bytes were refused."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse the next event; raises RemoteProtocolError for what is no proper request."""
        before = len(self._receive_buffer)
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.refusal = _too_large() if error.error_status_hint == 431 else _no_request()
            raise
        # h11 itself bounds only what has not ended yet.
        taken = before - len(self._receive_buffer)
        if not isinstance(event, h11.Data) and taken > MAX_HEAD_BYTES:
            self.refusal = _too_large()
        elif isinstance(event, h11.Request) and _framed_twice(event):
            self.refusal = HTTPException(
                400, "Send Content-Length or Transfer-Encoding, not both: they may disagree."
            )
        if self.refusal is not None:
            raise h11.RemoteProtocolError(self.refusal.detail)
        return event


def _framed_twice(request: h11.Request) -> bool:
    """Whether a proxy in between may take another place for the end of the body."""
    names = {name for name, _ in request.headers}
    return {b"content-length", b"transfer-encoding"} <= names


def _too_large() -> HTTPException:
    return HTTPException(431, f"The headers are too large: at most {MAX_HEAD_BYTES} bytes.")


def _no_request() -> HTTPException:
    return HTTPException(400, "This is no HTTP/1.1 request.")

"""Places: how many connections may be open at once."""

import asyncio


class Places:
    """Room for `limit` connections: beyond it, the one longest without a request has to go.

    So whoever opens connections and asks for nothing keeps nobody out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: dict[asyncio.Transport, None] = {}

    def idle(self, transport: asyncio.Transport) -> None:
        """A connection has no request from now on."""
        self._idle.setdefault(transport)

    def busy(self, transport: asyncio.Transport) -> None:
        """A connection has a request, or is no more."""
        self._idle.pop(transport, None)

    def make_room(self, opened: int) -> None:
        """Close a connection if more are open than there is room for."""
        if opened > self._limit and self._idle:
            longest = next(iter(self._idle))
            self.busy(longest)
            longest.abort()

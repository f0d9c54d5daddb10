"""Delivery: whether a client takes what it is sent."""

import asyncio
import logging

from server.api.http.patience import Patience

_log = logging.getLogger(__name__)


class Delivery:
    """Cuts a connection whose client leaves bytes waiting for longer than patience has it.

    Closing it would not do: a transport that closes still waits until its bytes are taken.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        # With any more than this, so many bytes of each connection could wait for ever.
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._patience = Patience()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._unread = 0

    def falls_behind(self) -> None:
        """Bytes wait from now on."""
        self._since = self._loop.time()
        self._unread = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._patience.left, self._look)

    def catches_up(self) -> None:
        """No bytes wait any longer, or nobody is there to take them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._count()

    def _look(self) -> None:
        self._count()
        if self._patience.left > 0:
            self.falls_behind()
        else:
            _log.info("A connection is cut: its reader takes too little of what it asked for.")
            self._transport.abort()

    def _count(self) -> None:
        taken = self._unread - self._transport.get_write_buffer_size()
        self._patience.spend(self._loop.time() - self._since, taken)

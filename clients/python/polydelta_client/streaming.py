"""Generated text as it comes, for the blocking client."""

import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

import httpx2

from ._call import Call
from ._pieces import Heard, PieceReader
from ._retries import Retries
from ._transport import Transport
from .errors import PolydeltaError
from .outputs import Piece


class Stream(Heard, Iterator[Piece]):
    """An iterator over pieces; closing it early, by `with` or `close`, cancels the request.

    So does dropping it, as a loop does that is left by `break`.

    The request is sent when the first piece is asked for, and never again once one has come.
    """

    def __init__(self, transport: Transport, call: Call[None]) -> None:
        self._reader = PieceReader()
        # The generator does not know this object: dropping it closes the generator there and then.
        self._pieces = _receive(transport, call, self._reader)

    def close(self) -> None:
        """Cancel what is left of the request."""
        self._pieces.close()

    def __next__(self) -> Piece:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _receive(transport: Transport, call: Call[None], reader: PieceReader) -> Generator[Piece]:
    retries = Retries(transport.settings.max_retries)
    while not reader.ended:
        try:
            yield from _attempt(transport, call, reader)
        except PolydeltaError as failure:
            if reader.ended:
                return
            if reader.started:
                raise
            time.sleep(retries.wait_after(failure))


def _attempt(transport: Transport, call: Call[None], reader: PieceReader) -> Generator[Piece]:
    with transport.exchange(call) as response:
        reader.begin(response)
        for event in httpx2.EventSource(response):
            piece = reader.read(event.data)
            if piece is not None:
                yield piece
        reader.check_end()

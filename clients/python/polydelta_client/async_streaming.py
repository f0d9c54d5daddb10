"""Generated text as it comes, for the awaiting client."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx2

from ._call import Call
from ._pieces import Heard, PieceReader
from ._retries import Retries
from ._transport import AsyncTransport
from .errors import PolydeltaError
from .outputs import Piece


class AsyncStream(Heard, AsyncIterator[Piece]):
    """An async iterator over pieces; closing it early, by `async with` or `close`, cancels.

    So does dropping it, as a loop does that is left by `break`.

    The request is sent when the first piece is asked for, and never again once one has come.
    """

    def __init__(self, transport: AsyncTransport, call: Call[None]) -> None:
        self._reader = PieceReader()
        self._receipt = _Receipt(transport, call, self._reader)
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def close(self) -> None:
        """Cancel what is left of the request."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def __anext__(self) -> Piece:
        if self._ended:
            raise StopAsyncIteration
        if self._task is None:
            self._task = asyncio.create_task(self._receipt.run())
        piece = await self._receipt.pieces.get()
        if isinstance(piece, Piece):
            return piece
        self._ended = True
        raise StopAsyncIteration if piece is None else piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        task = self._task
        if task is not None and not task.done() and not task.get_loop().is_closed():
            # The collector may run on any thread.
            task.get_loop().call_soon_threadsafe(task.cancel)


class _Receipt:
    """Receives on a task of its own, and does not know the stream, which may be dropped.

    An event loop that ends cancels its tasks and waits for them, but closes generators within
    generators all at once, which they do not bear. So there are none of ours, and this task waits
    for nothing but the network: `pieces` has no bound, since an answer is no longer than its
    max_tokens. An error or None comes last.
    """

    def __init__(self, transport: AsyncTransport, call: Call[None], reader: PieceReader) -> None:
        self.pieces: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()
        self._transport = transport
        self._call = call
        self._reader = reader

    async def run(self) -> None:
        retries = Retries(self._transport.settings.max_retries)
        try:
            while not self._reader.ended:
                await self._attempt(retries)
        except Exception as error:
            self.pieces.put_nowait(error)
        else:
            self.pieces.put_nowait(None)

    async def _attempt(self, retries: Retries) -> None:
        try:
            async with self._transport.exchange(self._call) as response:
                self._reader.begin(response)
                async for event in httpx2.EventSource(response):
                    piece = self._reader.read(event.data)
                    if piece is not None:
                        self.pieces.put_nowait(piece)
                self._reader.check_end()
        except PolydeltaError as failure:
            if self._reader.ended:
                return
            if self._reader.started:
                raise
            await asyncio.sleep(retries.wait_after(failure))

"""Generated text as it comes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httpx2

from ._call import Call
from ._pieces import PieceReader
from ._retries import Retries
from ._transport import AsyncTransport, Transport
from .errors import PolydeltaError
from .results import Piece, Usage


class Stream(Iterator[Piece]):
    """An iterator over pieces; leaving it early, by `with` or `close`, cancels the request.

    The request is sent when the first piece is asked for, and never again once one has come.
    """

    def __init__(self, transport: Transport, call: Call[None]) -> None:
        self._transport = transport
        self._call = call
        self._reader = PieceReader()
        self._pieces = self._receive()

    @property
    def usage(self) -> Usage | None:
        """The tokens counted, known once the stream is exhausted."""
        return self._reader.usage

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

    def _receive(self) -> Generator[Piece]:
        retries = Retries(self._transport.settings.max_retries)
        while not self._reader.ended:
            try:
                yield from self._attempt()
            except PolydeltaError as failure:
                if self._reader.ended:
                    return
                if self._reader.started:
                    raise
                time.sleep(retries.wait_after(failure))

    def _attempt(self) -> Generator[Piece]:
        with self._transport.exchange(self._call) as response:
            for event in httpx2.EventSource(response):
                piece = self._reader.read(event.data)
                if piece is not None:
                    yield piece
            self._reader.check_end()


class AsyncStream(AsyncIterator[Piece]):
    """An async iterator over pieces; leaving it early, by `async with` or `close`, cancels.

    The request is sent when the first piece is asked for, and never again once one has come.
    """

    def __init__(self, transport: AsyncTransport, call: Call[None]) -> None:
        self._transport = transport
        self._call = call
        self._reader = PieceReader()
        self._pieces = self._receive()

    @property
    def usage(self) -> Usage | None:
        """The tokens counted, known once the stream is exhausted."""
        return self._reader.usage

    async def close(self) -> None:
        """Cancel what is left of the request."""
        await self._pieces.aclose()

    async def __anext__(self) -> Piece:
        return await anext(self._pieces)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _receive(self) -> AsyncGenerator[Piece]:
        retries = Retries(self._transport.settings.max_retries)
        while not self._reader.ended:
            try:
                async with aclosing(self._attempt()) as pieces:
                    async for piece in pieces:
                        yield piece
            except PolydeltaError as failure:
                if self._reader.ended:
                    return
                if self._reader.started:
                    raise
                await asyncio.sleep(retries.wait_after(failure))

    async def _attempt(self) -> AsyncGenerator[Piece]:
        async with self._transport.exchange(self._call) as response:
            async for event in httpx2.EventSource(response):
                piece = self._reader.read(event.data)
                if piece is not None:
                    yield piece
            self._reader.check_end()

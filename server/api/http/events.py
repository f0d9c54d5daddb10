"""Event streams: answers sent piece by piece as server-sent events."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeAlias

from fastapi import Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deltas.errors import PolydeltaError
from server.api.http.connection import while_connected
from server.api.http.problem import ErrorBody, Problem

logger = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"
"""How OpenAI's streams end."""


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """An event that has a name; `data` is its JSON."""

    name: str
    data: bytes


Chunk: TypeAlias = BaseModel | NamedEvent


class _Failure(BaseModel):
    error: ErrorBody


class EventStream(Response):
    """Sends chunks as they come, then what is `done`; an error is the last event in its stead.

    `failed` makes that event of a problem.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        request_id: str,
        first: Chunk,
        rest: AsyncGenerator[Chunk],
        done: bytes,
        failed: Callable[[Problem], Chunk],
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._request_id = request_id
        self._first = first
        self._rest = rest
        self._done = done
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, an error or the reader's going."""
        del scope
        with suppress(ClientDisconnect):
            await while_connected(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async with aclosing(self._events()) as events:
            async for event in events:
                # A full socket holds up this stream alone; the engine works on.
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncGenerator[bytes]:
        yield _event(self._first)
        try:
            async with aclosing(self._rest) as chunks:
                async for chunk in chunks:
                    yield _event(chunk)
        except PolydeltaError as error:
            yield _event(self._failed(Problem.of(error)))
        except Exception as error:
            logger.exception("Request %s failed.", self._request_id)
            yield _event(self._failed(Problem.of(error)))
        else:
            yield self._done


def _failure(problem: Problem) -> Chunk:
    return _Failure(error=problem.error)


async def event_stream(
    http: Request,
    chunks: AsyncGenerator[Chunk],
    done: bytes = DONE,
    failed: Callable[[Problem], Chunk] = _failure,
) -> EventStream:
    """Begin a stream once its first chunk is there: errors until then are plain responses."""
    first = await while_connected(http.receive, anext(chunks))
    return EventStream(http.state.request_id, first, chunks, done, failed)


def _event(chunk: Chunk) -> bytes:
    if isinstance(chunk, NamedEvent):
        return b"event: %s\ndata: %s\n\n" % (chunk.name.encode(), chunk.data)
    return f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n".encode()

"""The awaiting client."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

import httpx2

from . import _calls
from ._settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Settings
from ._transport import AsyncTransport
from .errors import APIStatusError
from .inputs import BatchRequest, Input, Parameters
from .results import Health, Inference, Model
from .streaming import AsyncStream
from .tasks import AsyncTasks


class AsyncPolydelta:
    """The client for asyncio: the methods and arguments of `Polydelta`, awaited.

    `stream` alone is called without `await`: what it returns is iterated with `async for`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | httpx2.Timeout | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        settings = Settings.resolve(base_url, api_key, timeout, max_retries)
        self._transport = AsyncTransport(settings, http_client)
        self.tasks = AsyncTasks(self._transport)

    async def infer(self, task: str, input: Input, **parameters: Unpack[Parameters]) -> Inference:
        """Answer `input`: a text, several texts (one output each), or the messages of a chat."""
        return await self._transport.run(_calls.infer(task, input, parameters))

    def stream(self, task: str, input: Input, **parameters: Unpack[Parameters]) -> AsyncStream:
        """Answer `input` piece by piece; for generating tasks."""
        return AsyncStream(self._transport, _calls.stream(task, input, parameters))

    async def infer_many(
        self, requests: Iterable[BatchRequest]
    ) -> list[Inference | APIStatusError]:
        """Answer many requests in one batch; see `Polydelta.infer_many`."""
        return await self._transport.run(_calls.infer_many(requests))

    async def models(self) -> list[Model]:
        """Return the base and the tasks on it, as OpenAI clients see them."""
        return await self._transport.run(_calls.list_models())

    async def health(self) -> Health:
        """Return how busy the server is; raise InternalServerError if it cannot serve."""
        return await self._transport.run(_calls.health())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

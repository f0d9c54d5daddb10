"""The awaiting client."""

from collections.abc import AsyncIterator, Iterable, Sequence
from copy import copy
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx2

from . import _calls, _infer
from ._options import split
from ._schema import Schema
from ._settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Settings
from ._transport import AsyncTransport
from .access import Change, Key
from .async_streaming import AsyncStream
from .errors import PolydeltaError
from .inference import Inference, ParsedInference
from .inputs import BatchRequest, CallOptions, InferOptions, Input
from .keys import AsyncKeys
from .served import Health, Model
from .tasks import AsyncTasks
from .tenants import AsyncTenants

T = TypeVar("T")


class AsyncPolydelta:
    """The client for asyncio: the methods and arguments of `Polydelta`, awaited.

    `stream` and `infer_each` are called without `await`: what they return is iterated with
    `async for`. Each event loop has connections of its own, which close with it.
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

    @property
    def tasks(self) -> AsyncTasks:
        """The tasks of the server: what is there, and changing it."""
        return AsyncTasks(self._transport)

    @property
    def keys(self) -> AsyncKeys:
        """The API keys of the server: who may ask, for operators."""
        return AsyncKeys(self._transport)

    @property
    def tenants(self) -> AsyncTenants:
        """The tenants of the server: how much each may use, for operators."""
        return AsyncTenants(self._transport)

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """Return a client with other options, on the same connections."""
        client = copy(self)
        client._transport = self._transport.over(options)
        return client

    @overload
    async def infer(
        self, task: str, input: Input, *, schema: Schema[T], **options: Unpack[InferOptions]
    ) -> ParsedInference[T]: ...
    @overload
    async def infer(
        self, task: str, input: Input, *, schema: None = None, **options: Unpack[InferOptions]
    ) -> Inference: ...
    async def infer(
        self,
        task: str,
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> Inference:
        """Answer `input`; see `Polydelta.infer`."""
        parameters, call = split(options)
        plan = _infer.infer(task, input, schema, parameters)
        return await self._transport.over(call).carry_out(plan)

    async def infer_tasks(
        self,
        tasks: Sequence[str],
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> dict[str, Inference | PolydeltaError]:
        """Answer `input` with each of several tasks; see `Polydelta.infer_tasks`."""
        parameters, call = split(options)
        plan = _infer.infer_tasks(tasks, input, schema, parameters)
        return await self._transport.over(call).carry_out(plan)

    def stream(
        self,
        task: str,
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> AsyncStream:
        """Answer `input` piece by piece; for generating tasks."""
        parameters, call = split(options)
        request = _infer.stream(task, input, schema, parameters)
        return AsyncStream(self._transport.over(call), request)

    async def infer_many(
        self, requests: Iterable[BatchRequest], **options: Unpack[CallOptions]
    ) -> list[Inference | PolydeltaError]:
        """Answer many requests in one batch; see `Polydelta.infer_many`."""
        return await self._transport.over(options).carry_out(_infer.infer_many(requests))

    async def infer_each(
        self, requests: Iterable[BatchRequest], **options: Unpack[CallOptions]
    ) -> AsyncIterator[Inference | PolydeltaError]:
        """Answer requests as they are read, in order; see `Polydelta.infer_each`."""
        transport = self._transport.over(options)
        for call in _infer.infer_each(requests):
            for result in await transport.run(call):
                yield result

    async def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """Return the base and the tasks on it, as OpenAI clients see them."""
        return await self._transport.over(options).run(_calls.list_models())

    async def key(self, **options: Unpack[CallOptions]) -> Key:
        """Return what the client's key is good for."""
        return await self._transport.over(options).run(_calls.own_key())

    async def audit(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        task: str | None = None,
        **options: Unpack[CallOptions],
    ) -> list[Change]:
        """Return who changed what, the newest first: of one task, or of all that the key may see.

        At most `limit` changes come, 1000 at once; older ones are `before` the number of the last.
        The key needs the scope "admin".
        """
        return await self._transport.over(options).run(_calls.audit(limit, before, task))

    async def health(self, **options: Unpack[CallOptions]) -> Health:
        """Return how busy the server is; raise InternalServerError if it cannot serve."""
        return await self._transport.over(options).run(_calls.health())

    async def request(
        self, method: str, path: str, *, json: object = None, **options: Unpack[CallOptions]
    ) -> httpx2.Response:
        """Send any request and return its answer as it is; see `Polydelta.request`."""
        return await self._transport.over(options).run(_calls.raw(method, path, json))

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

"""The async client behind the blocking client's interface, so that one suite tests both."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, Self

from polydelta_client import AsyncPolydelta, AsyncStream
from polydelta_client.keys import AsyncKeys
from polydelta_client.tasks import AsyncTasks
from polydelta_client.tenants import AsyncTenants

_ASYNC = (AsyncTasks, AsyncKeys, AsyncTenants, AsyncStream, AsyncPolydelta, AsyncGenerator)


class Blocking:
    """Awaits whatever the object inside returns, on one event loop."""

    def __init__(self, inside: Any, runner: asyncio.Runner) -> None:
        self._inside = inside
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._settled(getattr(self._inside, name))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self._runner.run(_awaited(anext(self._inside)))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._inside.__aexit__(*error))

    def _calling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            return self._settled(method(*args, **options))

        return call

    def _settled(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            return self._runner.run(_awaited(value))
        if callable(value):
            return self._calling(value)
        if isinstance(value, _ASYNC):
            return Blocking(value, self._runner)
        return value


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable

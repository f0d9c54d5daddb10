"""The only input and output of the package: the same steps, blocking and awaiting."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from typing import Self, TypeVar

import httpx2

from ._call import Call, Plan
from ._connections import AsyncConnections
from ._failures import status_error, translated
from ._retries import Retries
from ._settings import Settings
from .errors import PolydeltaError
from .inputs import CallOptions

T = TypeVar("T")


class _Adjustable:
    """Connections with settings that others may share by settings of their own."""

    settings: Settings

    def over(self, options: CallOptions) -> Self:
        """The same connections with other settings."""
        other = copy(self)
        other.settings = self.settings.over(options)
        return other


class Transport(_Adjustable):
    """Sends calls and waits for their answers."""

    def __init__(self, settings: Settings, http: httpx2.Client | None) -> None:
        self.settings = settings
        self._owned = http is None
        self._http = http or httpx2.Client()

    def run(self, call: Call[T]) -> T:
        """Return the answer, after as many attempts as it takes and the settings allow."""
        retries = Retries(self.settings.max_retries)
        while True:
            try:
                with self.exchange(call) as response:
                    response.read()
                    return call.read(response)
            except PolydeltaError as failure:
                time.sleep(retries.wait_after(failure))

    def carry_out(self, plan: Plan[T]) -> T:
        """Run one call after the other; return what comes of them all."""
        try:
            call = next(plan)
            while True:
                try:
                    answer = self.run(call)
                except PolydeltaError as failure:
                    call = plan.throw(failure)
                else:
                    call = plan.send(answer)
        except StopIteration as end:
            return end.value

    @contextmanager
    def exchange(self, call: Call[T]) -> Generator[httpx2.Response]:
        """Make one attempt; the response is a success, open, and still to be read."""
        with call.request(self._http.build_request, self.settings) as request:
            with translated():
                response = self._http.send(request, stream=True)
            try:
                with translated(response):
                    if not response.is_success:
                        response.read()
                        raise status_error(response)
                    yield response
            finally:
                response.close()

    def close(self) -> None:
        """Close the connections, unless the caller brought them."""
        if self._owned:
            self._http.close()


class AsyncTransport(_Adjustable):
    """Sends calls and awaits their answers."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient | None) -> None:
        self.settings = settings
        self._given = http
        self._own = AsyncConnections()

    async def run(self, call: Call[T]) -> T:
        """Return the answer, after as many attempts as it takes and the settings allow."""
        retries = Retries(self.settings.max_retries)
        while True:
            try:
                async with self.exchange(call) as response:
                    await response.aread()
                    return call.read(response)
            except PolydeltaError as failure:
                await asyncio.sleep(retries.wait_after(failure))

    async def carry_out(self, plan: Plan[T]) -> T:
        """Run one call after the other; return what comes of them all."""
        try:
            call = next(plan)
            while True:
                try:
                    answer = await self.run(call)
                except PolydeltaError as failure:
                    call = plan.throw(failure)
                else:
                    call = plan.send(answer)
        except StopIteration as end:
            return end.value

    @asynccontextmanager
    async def exchange(self, call: Call[T]) -> AsyncGenerator[httpx2.Response]:
        """Make one attempt; the response is a success, open, and still to be read."""
        http = self._given or await self._own.client()
        with call.request(http.build_request, self.settings) as request:
            with translated():
                response = await http.send(request, stream=True)
            try:
                with translated(response):
                    if not response.is_success:
                        await response.aread()
                        raise status_error(response)
                    yield response
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close the connections, unless the caller brought them."""
        await self._own.close()

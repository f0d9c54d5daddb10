"""Checkpoints on their way in: uploaded file by file, or named by where they are."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Annotated, TypeAlias, TypedDict, Unpack

from fastapi import Depends, Request
from pydantic import Field

from server.api.dependencies import RegistryDep, SourcesDep
from server.api.http.body import Body, read_body
from server.api.http.connection import while_connected
from server.api.http.upload import Upload
from server.api.transfers import TransfersDep
from server.api.writes import WritesDep
from server.registry.condition import Condition
from server.registry.names import TaskName
from server.registry.registration import Registration
from server.registry.sources.sources import origin
from server.registry.staging import Staging


class SourceBody(Body):
    """Where a checkpoint is, as the server sees it."""

    source: Annotated[str, Field(min_length=1, max_length=4096)]


BODY_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SourceBody.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            },
        },
    }
}


class Terms(TypedDict, total=False):
    """What else is said of a delta that comes in; see `Registry.put_staged`."""

    lifetime: float | None
    activate: bool | None
    if_match: Condition
    if_none_match: bool


class Incoming:
    """The delta that a request uploads or names: takes it in and puts it."""

    def __init__(
        self,
        http: Request,
        registry: RegistryDep,
        sources: SourcesDep,
        writes: WritesDep,
        transfers: TransfersDep,
    ) -> None:
        self._http = http
        self._registry = registry
        self._sources = sources
        self._writes = writes
        self._transfers = transfers

    async def put(self, name: str, **terms: Unpack[Terms]) -> tuple[Registration, bool]:
        """Make it the active version of a task; see `Registry.put_staged`."""
        # A place is for deltas that come in: who is slow to say where one is holds none.
        if _is_upload(self._http):
            return await self._put(self._receive_upload, "upload", name, terms)
        source = (await read_body(self._http, SourceBody)).source
        return await self.put_from(source, name, **terms)

    async def put_from(
        self, source: str, name: str, **terms: Unpack[Terms]
    ) -> tuple[Registration, bool]:
        """Do so with the delta that a source names; the request's body must have been read."""
        return await self._put(partial(self._fetch, source, name), origin(source), name, terms)

    async def _put(
        self, receive: Callable[[Staging], Awaitable[None]], source: str, name: str, terms: Terms
    ) -> tuple[Registration, bool]:
        with self._writes.place():
            async with self._staging() as staging:
                await receive(staging)
                put = partial(self._registry.put_staged, name, staging, source=source, **terms)
                return await self._writes.run(put)

    @asynccontextmanager
    async def _staging(self) -> AsyncGenerator[Staging]:
        with ExitStack() as opened:
            staging = await self._writes.run(opened.enter_context, self._registry.stage())
            kept = opened.pop_all()
        try:
            yield staging
        finally:
            await self._writes.run(kept.close)

    async def _fetch(self, asked: str, name: str, staging: Staging) -> None:
        source = await self._writes.run(self._sources.asked, asked)
        transfer = self._sources.transfer(source)
        bring = partial(source.bring, staging, transfer)
        task = TaskName(self._registry.tenant, name)
        with self._transfers.told(task, origin(asked), transfer):
            work = self._writes.run_until(bring, transfer.cancel)
            await while_connected(self._http.receive, work)

    async def _receive_upload(self, staging: Staging) -> None:
        upload = Upload(self._http.headers["content-type"], staging)
        try:
            async for data in self._http.stream():
                await self._writes.run(upload.feed, data)
            upload.finish()
        finally:
            upload.close()


IncomingDep: TypeAlias = Annotated[Incoming, Depends()]


def _is_upload(http: Request) -> bool:
    return http.headers.get("content-type", "").startswith("multipart/form-data")

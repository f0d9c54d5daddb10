"""The tasks of a server: what is there, and changing it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Unpack

from . import _calls
from ._transport import AsyncTransport, Transport
from .inputs import CallOptions, Source
from .served import Task, Transfer, Version
from .traffic import StepBack, Traffic

_NOTHING: Mapping[str | int, int] = MappingProxyType({})


class Tasks:
    """The methods of `client.tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def put(
        self,
        name: str,
        source: Source,
        *,
        ttl: float | None = None,
        activate: bool | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Add a task or give it a new delta, which becomes active at once; return it as it is then.

        `source` is uploaded: a directory (the files at its top, less the hidden ones), a single
        file, an open file, bytes (`adapter_model.safetensors`, where nothing says their name), or a
        mapping of names to any of these but directories. The file:// URI of a directory is read by
        the server itself. After `ttl` seconds the task is removed by itself.
        With `activate=False` the delta is a version that does not answer yet; where versions share
        the traffic, that is so unless you say True.
        With `if_match`, the version that you expect to replace, PreconditionFailedError is raised
        where another is active; with `if_none_match="*"`, ConflictError where the name is taken.
        """
        call = _calls.put_task(name, source, ttl, if_match, if_none_match, activate=activate)
        return self._transport.over(options).run(call)

    def get(self, name: str, **options: Unpack[CallOptions]) -> Task:
        """Return one task."""
        return self._transport.over(options).run(_calls.get_task(name))

    def delete(
        self,
        name: str,
        *,
        if_match: str | None = None,
        forever: bool = False,
        **options: Unpack[CallOptions],
    ) -> None:
        """Remove a task; requests under way still finish.

        `activate` can bring it back for some time, unless it is removed forever.
        """
        self._transport.over(options).run(_calls.delete_task(name, if_match, forever=forever))

    def activate(
        self,
        name: str,
        version: str | int,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Have an earlier version answer again, by its number, an alias or its digest."""
        call = _calls.activate(name, version, if_match)
        return self._transport.over(options).run(call)

    def alias(
        self,
        name: str,
        alias: str,
        version: str | int,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> list[Version]:
        """Give a version a free name, so that `NAME@ALIAS` asks for it; return all versions."""
        call = _calls.put_alias(name, alias, version, if_match)
        return self._transport.over(options).run(call)

    def unalias(
        self,
        name: str,
        alias: str,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """Take a free name away."""
        self._transport.over(options).run(_calls.delete_alias(name, alias, if_match))

    def versions(self, name: str, **options: Unpack[CallOptions]) -> list[Version]:
        """Return a task's versions, the newest first, even of one removed not long ago."""
        return self._transport.over(options).run(_calls.list_versions(name))

    def traffic(self, name: str, **options: Unpack[CallOptions]) -> Traffic:
        """Return how a task's requests are shared among its versions, and what came of it."""
        return self._transport.over(options).run(_calls.traffic(name))

    def set_traffic(
        self,
        name: str,
        shares: Mapping[str | int, int] = _NOTHING,
        *,
        shadow: str | int | None = None,
        step_back: StepBack | None = None,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Traffic:
        """Share a task's requests among versions, by weight: `set_traffic("spam", {1: 90, 2: 10})`.

        Requests with the same header `X-Session-Id` (`extra_headers`) go to the same version. The
        `shadow` version answers what others answered, is compared and never returned; a version
        whose errors are more than `step_back` has it loses its share. `if_match` is the version
        that is active or the `state` of the traffic, or else PreconditionFailedError is raised.
        """
        call = _calls.set_traffic(name, shares, shadow, step_back, if_match)
        return self._transport.over(options).run(call)

    def end_traffic(
        self, name: str, *, if_match: str | None = None, **options: Unpack[CallOptions]
    ) -> None:
        """Have a task's active version answer alone again."""
        self._transport.over(options).run(_calls.end_traffic(name, if_match))

    def transfers(self, **options: Unpack[CallOptions]) -> list[Transfer]:
        """Return how much has come of the deltas that the server fetches at this moment."""
        return self._transport.over(options).run(_calls.list_transfers())

    # Last in its class: below it, `list` in an annotation would mean this method.
    def list(self, **options: Unpack[CallOptions]) -> list[Task]:
        """Return all tasks."""
        return self._transport.over(options).run(_calls.list_tasks())


class AsyncTasks:
    """The methods of `client.tasks`, awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def put(
        self,
        name: str,
        source: Source,
        *,
        ttl: float | None = None,
        activate: bool | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Add a task or give it a new delta; see `Tasks.put`."""
        call = _calls.put_task(name, source, ttl, if_match, if_none_match, activate=activate)
        return await self._transport.over(options).run(call)

    async def get(self, name: str, **options: Unpack[CallOptions]) -> Task:
        """Return one task."""
        return await self._transport.over(options).run(_calls.get_task(name))

    async def delete(
        self,
        name: str,
        *,
        if_match: str | None = None,
        forever: bool = False,
        **options: Unpack[CallOptions],
    ) -> None:
        """Remove a task; requests under way still finish.

        `activate` can bring it back for some time, unless it is removed forever.
        """
        await self._transport.over(options).run(_calls.delete_task(name, if_match, forever=forever))

    async def activate(
        self,
        name: str,
        version: str | int,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Have an earlier version answer again; see `Tasks.activate`."""
        call = _calls.activate(name, version, if_match)
        return await self._transport.over(options).run(call)

    async def alias(
        self,
        name: str,
        alias: str,
        version: str | int,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> list[Version]:
        """Give a version a free name; see `Tasks.alias`."""
        call = _calls.put_alias(name, alias, version, if_match)
        return await self._transport.over(options).run(call)

    async def unalias(
        self,
        name: str,
        alias: str,
        *,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """Take a free name away."""
        await self._transport.over(options).run(_calls.delete_alias(name, alias, if_match))

    async def versions(self, name: str, **options: Unpack[CallOptions]) -> list[Version]:
        """Return a task's versions, the newest first, even of one removed not long ago."""
        return await self._transport.over(options).run(_calls.list_versions(name))

    async def traffic(self, name: str, **options: Unpack[CallOptions]) -> Traffic:
        """Return how a task's requests are shared among its versions, and what came of it."""
        return await self._transport.over(options).run(_calls.traffic(name))

    async def set_traffic(
        self,
        name: str,
        shares: Mapping[str | int, int] = _NOTHING,
        *,
        shadow: str | int | None = None,
        step_back: StepBack | None = None,
        if_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Traffic:
        """Share a task's requests among versions; see `Tasks.set_traffic`."""
        call = _calls.set_traffic(name, shares, shadow, step_back, if_match)
        return await self._transport.over(options).run(call)

    async def end_traffic(
        self, name: str, *, if_match: str | None = None, **options: Unpack[CallOptions]
    ) -> None:
        """Have a task's active version answer alone again."""
        await self._transport.over(options).run(_calls.end_traffic(name, if_match))

    async def transfers(self, **options: Unpack[CallOptions]) -> list[Transfer]:
        """Return how much has come of the deltas that the server fetches at this moment."""
        return await self._transport.over(options).run(_calls.list_transfers())

    # Last in its class: below it, `list` in an annotation would mean this method.
    async def list(self, **options: Unpack[CallOptions]) -> list[Task]:
        """Return all tasks."""
        return await self._transport.over(options).run(_calls.list_tasks())

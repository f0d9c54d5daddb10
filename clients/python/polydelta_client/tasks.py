"""The tasks of a server: what is there, and changing it."""

from typing import Unpack

from . import _calls
from ._transport import AsyncTransport, Transport
from .inputs import CallOptions, Source
from .served import Task


class Tasks:
    """The methods of `client.tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def put(
        self,
        name: str,
        source: Source,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Add a task or give it a new delta, which becomes active at once; return it as it is then.

        `source` is uploaded: a directory (the files at its top, less the hidden ones), a single
        file, an open file, bytes (`adapter_model.safetensors`, where nothing says their name), or a
        mapping of names to any of these but directories. The file:// URI of a directory is read by
        the server itself.
        With `if_match`, the version that you expect to replace, PreconditionFailedError is raised
        where another is active; with `if_none_match="*"`, ConflictError where the name is taken.
        """
        call = _calls.put_task(name, source, if_match, if_none_match)
        return self._transport.over(options).run(call)

    def get(self, name: str, **options: Unpack[CallOptions]) -> Task:
        """Return one task."""
        return self._transport.over(options).run(_calls.get_task(name))

    def delete(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Remove a task; requests under way still finish."""
        self._transport.over(options).run(_calls.delete_task(name))

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
        if_match: str | None = None,
        if_none_match: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Task:
        """Add a task or give it a new delta; see `Tasks.put`."""
        call = _calls.put_task(name, source, if_match, if_none_match)
        return await self._transport.over(options).run(call)

    async def get(self, name: str, **options: Unpack[CallOptions]) -> Task:
        """Return one task."""
        return await self._transport.over(options).run(_calls.get_task(name))

    async def delete(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Remove a task; requests under way still finish."""
        await self._transport.over(options).run(_calls.delete_task(name))

    # Last in its class: below it, `list` in an annotation would mean this method.
    async def list(self, **options: Unpack[CallOptions]) -> list[Task]:
        """Return all tasks."""
        return await self._transport.over(options).run(_calls.list_tasks())

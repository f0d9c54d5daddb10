"""The tasks of a server: what is there, and changing it."""

from pathlib import Path

from . import _calls
from ._transport import AsyncTransport, Transport
from .results import Task, Version


class Tasks:
    """The methods of `client.tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def put(
        self,
        name: str,
        source: str | Path,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Task:
        """Add a task or give it a new delta, which becomes active at once; return it as it is then.

        `source` is a local directory, whose files are uploaded (those at its top, less the hidden
        ones), or the file:// URI of a directory that the server reads by itself.
        With `if_match`, the version that you expect to replace, PreconditionFailedError is raised
        where another is active; with `if_none_match="*"`, ConflictError where the name is taken.
        """
        return self._transport.run(_calls.put_task(name, source, if_match, if_none_match))

    def get(self, name: str) -> Task:
        """Return one task."""
        return self._transport.run(_calls.get_task(name))

    def delete(self, name: str) -> None:
        """Remove a task; requests under way still finish."""
        self._transport.run(_calls.delete_task(name))

    def versions(self, name: str) -> list[Version]:
        """Return the versions that the server keeps of a task; no server answers this yet."""
        return self._transport.run(_calls.list_versions(name))

    def activate(self, name: str, version: str) -> Task:
        """Make another version active and return the task; no server answers this yet."""
        return self._transport.run(_calls.activate(name, version))

    # Last in its class: below it, `list` in an annotation would mean this method.
    def list(self) -> list[Task]:
        """Return all tasks."""
        return self._transport.run(_calls.list_tasks())


class AsyncTasks:
    """The methods of `client.tasks`, awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def put(
        self,
        name: str,
        source: str | Path,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Task:
        """Add a task or give it a new delta; see `Tasks.put`."""
        return await self._transport.run(_calls.put_task(name, source, if_match, if_none_match))

    async def get(self, name: str) -> Task:
        """Return one task."""
        return await self._transport.run(_calls.get_task(name))

    async def delete(self, name: str) -> None:
        """Remove a task; requests under way still finish."""
        await self._transport.run(_calls.delete_task(name))

    async def versions(self, name: str) -> list[Version]:
        """Return the versions that the server keeps of a task; no server answers this yet."""
        return await self._transport.run(_calls.list_versions(name))

    async def activate(self, name: str, version: str) -> Task:
        """Make another version active and return the task; no server answers this yet."""
        return await self._transport.run(_calls.activate(name, version))

    # Last in its class: below it, `list` in an annotation would mean this method.
    async def list(self) -> list[Task]:
        """Return all tasks."""
        return await self._transport.run(_calls.list_tasks())

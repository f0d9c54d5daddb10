"""Finding: the versions that answer calls, looked for elsewhere where they are not here."""

from deltas.delta import DeltaRef
from server.engine.elsewhere import Elsewhere
from server.engine.request import Call
from server.engine.resolver import Resolver
from server.errors import TaskNotFound
from server.registry.lease import Lease
from server.registry.names import TaskName
from server.registry.registry import Registry
from server.registry.version import Version


class Finder:
    """Asks the registry, then what other servers have put, then the `resolver`, if there is one.

    All is waited for only as long as a call is patient; for one event loop.
    """

    def __init__(self, registry: Registry) -> None:
        self.resolver: Resolver | None = None
        self._registry = registry
        self._elsewhere = Elsewhere(registry)

    async def leases(self, task: TaskName, count: int, call: Call) -> list[Lease]:
        """Pin the version of a task that answers so many requests of a call.

        See `Registry.leases`.
        """
        try:
            leases = self._registry.leases(task, count, call.key)
        except TaskNotFound:
            if not await self._found(task, call):
                raise
            leases = self._registry.leases(task, count, call.key)
        ref = leases[0].version.ref
        await self._bring(ref, leases, call)
        call.versions.add(ref)
        return leases

    async def version(self, task: TaskName, call: Call) -> Version:
        """The version that would answer a call."""
        try:
            return self._registry.version(task)
        except TaskNotFound:
            if not await self._found(task, call):
                raise
        return self._registry.version(task)

    def close(self) -> None:
        """Look for nothing more."""
        self._elsewhere.close()
        if self.resolver is not None:
            self.resolver.close()

    async def _bring(self, ref: DeltaRef, leases: list[Lease], call: Call) -> None:
        try:
            await self._elsewhere.bring(ref, call.patience)
        except BaseException:
            for lease in leases:
                lease.release()
            raise

    async def _found(self, task: TaskName, call: Call) -> bool:
        if await self._elsewhere.has(task):
            return True
        return self.resolver is not None and await self.resolver.find(task.name, call.patience)

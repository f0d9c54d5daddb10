"""Namespaces: the tasks by the names that one tenant has for them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Unpack

from deltas.strict_json import Json
from server.errors import TaskNotFound
from server.registry.audit import ANONYMOUS, Entry
from server.registry.condition import Condition
from server.registry.names import SHARED, TaskName, shared
from server.registry.put import Terms
from server.registry.registration import Registration
from server.registry.registry import Registry
from server.registry.staging import Staging
from server.registry.task import Task
from server.registry.traffic import Bound
from server.registry.version import Version


class Namespace:
    """A tenant's view of the registry: it reads its own tasks and the shared, and changes its own.

    `by` is who changes what is changed. Methods are the registry's, which says what they raise.
    """

    def __init__(self, registry: Registry, tenant: str, by: str = ANONYMOUS) -> None:
        self._registry = registry
        self._by = by
        self.tenant = tenant

    def stage(self) -> AbstractContextManager[Staging]:
        """A place in the store for a delta's files, to be put."""
        return self._registry.stage()

    def put_staged(
        self, name: str, staging: Staging, **terms: Unpack[Terms]
    ) -> tuple[Registration, bool]:
        """Check a delta, then make it the active version; True if that changed anything."""
        return self._registry.put_staged(self._named(name), staging, by=self._by, **terms)

    def remove(self, name: str, *, if_match: Condition = None, forever: bool = False) -> None:
        """Have a task answer no more."""
        self._registry.remove(self._named(name), by=self._by, if_match=if_match, forever=forever)

    def versions(self, name: str) -> Task:
        """A task with all its versions, be it removed."""
        try:
            return self._registry.versions.of(self._named(name))
        except TaskNotFound:
            if self.tenant == SHARED:
                raise
        return self._registry.versions.of(shared(name))

    def activate(self, name: str, which: str | int, *, if_match: Condition = None) -> Registration:
        """Have an earlier version answer again."""
        return self._registry.versions.activate(
            self._named(name), which, by=self._by, if_match=if_match
        )

    def alias(
        self, name: str, alias: str, which: str | int | None, *, if_match: Condition = None
    ) -> Task:
        """Give a free name to a version of a task, or take it away."""
        return self._registry.versions.alias(
            self._named(name), alias, which, by=self._by, if_match=if_match
        )

    def share(
        self,
        name: str,
        shares: Mapping[str, int],
        shadow: str | int | None = None,
        bound: Bound | None = None,
        *,
        if_match: Condition = None,
    ) -> Task:
        """Have versions share a task's requests."""
        return self._registry.sharing.share(
            self._named(name), shares, shadow, bound, by=self._by, if_match=if_match
        )

    def unshare(self, name: str, *, if_match: Condition = None) -> Task:
        """Have a task's active version answer alone."""
        return self._registry.sharing.unshare(self._named(name), by=self._by, if_match=if_match)

    def audit(self, limit: int, before: int | None, name: str | None) -> list[Entry]:
        """What was done of late to the tenant's own tasks, or to one; the shared one sees all."""
        task = None if name is None else self._named(name)
        only = None if self.tenant == SHARED else self.tenant
        return self._registry.audit.entries(limit, before=before, tenant=only, task=task)

    def version(self, name: str) -> Version:
        """The version that would answer."""
        return self._registry.version(self._named(name))

    def card(self, name: str) -> dict[str, Json]:
        """What the version that answers says about how it came about."""
        return self._registry.card(self._named(name))

    def get(self, name: str) -> Registration:
        """Describe one task."""
        return self._registry.get(self._named(name))

    def all(self) -> list[Registration]:
        """Describe every task but the bare base, by name."""
        return self._registry.all(self.tenant)

    def able(self, does: Callable[[Version], bool], most: int) -> list[str]:
        """The names of at most so many tasks that do something, the bare base's first."""
        return self._registry.able(does, most, self.tenant)

    def _named(self, name: str) -> TaskName:
        return TaskName(self.tenant, name)

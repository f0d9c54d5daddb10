"""Tasks: what the registry keeps under one name, as a value that every change makes anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from server.registry.version import Version


@dataclass(frozen=True, slots=True)
class Task:
    """A name, its versions by number, and which of them answers; none does once it is removed.

    `aliases` are free names for versions. `latest` is the highest number ever given. `changed` is
    when another version began to answer or none did, `expires` when the task is to be removed, in
    seconds since the epoch.
    """

    name: str
    versions: tuple[Version, ...] = ()
    active: int | None = None
    aliases: Mapping[str, int] = field(default_factory=dict[str, int])
    latest: int = 0
    changed: float = 0.0
    expires: float | None = None

    @property
    def answering(self) -> Version | None:
        """The version that answers."""
        return None if self.active is None else self.numbered(self.active)

    def numbered(self, number: int) -> Version | None:
        """The version with a number."""
        return next((each for each in self.versions if each.number == number), None)

    def of_digest(self, digest: str) -> Version | None:
        """The version with these very files."""
        return next((each for each in self.versions if each.ref.digest == digest), None)

    def put(self, version: Version, now: float, expires: float | None = None) -> "Task":
        """Have a version answer, under a number of its own unless its files had one before."""
        known = self.of_digest(version.ref.digest)
        if known is not None:
            return replace(self.activated(known.number, now), expires=expires)
        number = self.latest + 1
        versions = (*self.versions, replace(version, number=number))
        added = replace(self, versions=versions, latest=number)
        return replace(added.activated(number, now), expires=expires)

    def activated(self, number: int, now: float) -> "Task":
        """Have the version with this number answer from now on."""
        return self if self.active == number else replace(self, active=number, changed=now)

    def removed(self, now: float) -> "Task":
        """Have nothing answer from now on; what there was can be activated again."""
        return replace(self, active=None, changed=now, expires=None)

    def aliased(self, alias: str, number: int | None) -> "Task":
        """Give an alias to a version, or to none."""
        others = {name: each for name, each in self.aliases.items() if name != alias}
        return replace(self, aliases=others if number is None else {**others, alias: number})

    def keeping(self, numbers: frozenset[int]) -> "Task":
        """Keep the versions with these numbers, the one that answers and those with an alias."""
        kept = numbers.union(self.aliases.values(), () if self.active is None else (self.active,))
        return replace(self, versions=tuple(v for v in self.versions if v.number in kept))


def digests_of(*tasks: Task) -> set[str]:
    """The digests of all versions of tasks."""
    return {each.ref.digest for each in chain.from_iterable(task.versions for task in tasks)}

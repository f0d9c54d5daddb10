"""Tasks: what the registry keeps under one name, as a value that every change makes anew."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain

from server.errors import InvalidRequest, RegistryUnavailable
from server.registry.names import TaskName
from server.registry.traffic import StepBack, Traffic, drawn
from server.registry.version import Version

MOST_ALIASES = 64
"""Aliases of one task, each of which keeps a version."""


@dataclass(frozen=True, slots=True)
class Task:
    """A name, its versions by number, and which of them answers; none does once it is removed.

    `aliases` are free names for versions. `latest` is the highest number ever given. `changed` is
    when another version began to answer or none did, `expires` when the task is to be removed, in
    seconds since the epoch. A `damaged` task is what could still be read of one: nothing answers
    until a version is put or activated.
    """

    name: TaskName
    versions: tuple[Version, ...] = ()
    active: int | None = None
    aliases: Mapping[str, int] = field(default_factory=dict[str, int])
    latest: int = 0
    changed: float = 0.0
    expires: float | None = None
    traffic: Traffic | None = None
    damaged: bool = False

    @property
    def answering(self) -> Version | None:
        """The version that answers."""
        return None if self.active is None else self.numbered(self.active)

    @property
    def state(self) -> str:
        """What tells this state of the task's traffic from every other, in short."""
        read = f"{self.active} {self.traffic}"
        return sha256(read.encode()).hexdigest()[:16]

    def whole(self) -> "Task":
        """This task; raises RegistryUnavailable if it is damaged."""
        if self.damaged:
            name = self.name.name
            raise RegistryUnavailable(
                f"The task '{name}' is damaged in the registry's database. Put it again, "
                f"remove it for good (polydelta task rm {name} --forever), or have an "
                "operator restore the database from a back-up."
            )
        return self

    def numbered(self, number: int) -> Version | None:
        """The version with a number."""
        return next((each for each in self.versions if each.number == number), None)

    def of_digest(self, digest: str) -> Version | None:
        """The version with these very files."""
        return next((each for each in self.versions if each.ref.digest == digest), None)

    def number_of(self, digest: str) -> int | None:
        """The number of the version with these very files."""
        version = self.of_digest(digest)
        return None if version is None else version.number

    def chosen(self, key: str) -> Version | None:
        """The version that answers a request with a key, of those that share the traffic."""
        if self.traffic is None:
            return self.answering
        versions = {f"{self.name}\n{each.ref.digest}": each for each in self.versions}
        shares = {
            name: self.traffic.shares.get(version.number, 0) for name, version in versions.items()
        }
        name = drawn(shares, key)
        return self.answering if name is None else versions[name]

    def put(
        self,
        version: Version,
        now: float,
        expires: float | None = None,
        activate: bool | None = None,
    ) -> "Task":
        """Have a version, under a number of its own unless its files had one before.

        It answers from now on unless told otherwise, or unless versions share the traffic; where
        nothing answers it does in any case.
        """
        if activate is None:
            activate = self.traffic is None
        known = self.of_digest(version.ref.digest)
        number = self.latest + 1 if known is None else known.number
        task = replace(self, expires=expires)
        if known is None:
            versions = (*self.versions, replace(version, number=number))
            task = replace(task, versions=versions, latest=number)
        return task.activated(number, now) if activate or self.active is None else task

    def activated(self, number: int, now: float) -> "Task":
        """Have the version with this number, and no other, answer from now on."""
        changed = self.changed if self.active == number else now
        return replace(self, active=number, changed=changed, traffic=None, damaged=False)

    def removed(self, now: float) -> "Task":
        """Have nothing answer from now on; what there was can be activated again."""
        return replace(self, active=None, changed=now, expires=None, traffic=None)

    def shared(self, traffic: Traffic | None) -> "Task":
        """Have versions share the traffic, or the active one answer alone."""
        return replace(self, traffic=traffic)

    def stepped_back(self, number: int, reason: str, now: float) -> "Task":
        """Take its share of the traffic from a version, if it has one and is not the active one."""
        share = self.traffic.shares.get(number, 0) if self.traffic is not None else 0
        if self.traffic is None or not share or number == self.active:
            return self
        return self.shared(self.traffic.without(number, StepBack(share, now, reason)))

    def aliased(self, alias: str, number: int | None) -> "Task":
        """Give an alias to a version, or to none; raises InvalidRequest if there are too many."""
        others = {name: each for name, each in self.aliases.items() if name != alias}
        if number is not None and len(others) >= MOST_ALIASES:
            name = self.name.name
            raise InvalidRequest(
                f"The task '{name}' has {MOST_ALIASES} aliases, as many as it may. Take one "
                f"away first: polydelta task alias {name} ALIAS.",
                param="alias",
            )
        return replace(self, aliases=others if number is None else {**others, alias: number})

    def keeping(self, numbers: frozenset[int]) -> "Task":
        """Keep the versions with these numbers, those that answer and those with an alias."""
        kept = numbers.union(self.aliases.values(), () if self.active is None else (self.active,))
        kept = kept.union(() if self.traffic is None else self.traffic.numbers)
        return replace(self, versions=tuple(v for v in self.versions if v.number in kept))


def digests_of(*tasks: Task) -> set[str]:
    """The digests of all versions of tasks."""
    return {each.ref.digest for each in chain.from_iterable(task.versions for task in tasks)}

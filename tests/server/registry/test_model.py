"""Any sequence of changes by two servers that share a store, and of restarts: as a dict would."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from deltas.base import describe
from server.errors import Conflict, PreconditionFailed, TaskNotFound
from server.registry.catalogue.database import Database
from server.registry.catalogue.postgres import Postgres
from server.registry.lease import Lease
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.models import tiny_model
from tests.postgres import Cluster
from tests.server.registry.known import KEPT, Known
from tests.server.registry.prompts import number_of, write_prompt

BASE = describe(tiny_model("llama"), "tiny")
NAMES = st.sampled_from(["a", "b"])
DELTAS = st.integers(0, 3)
SERVERS = st.integers(0, 1)


@dataclass(eq=False)
class Held:
    server: int
    lease: Lease
    delta: int


class RegistryMachine(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.sources = [write_prompt(self.root / str(n), BASE, n) for n in range(4)]
        self.registries = [self.open(), self.open()]
        self.known: dict[str, Known] = {}
        self.held: list[Held] = []

    def database(self) -> Database | None:
        return None

    def open(self) -> Registry:
        retention = Retention(versions=KEPT)
        store = Store(self.root / "store")
        return Registry(store, BASE, retention=retention, database=self.database())

    def refused(self, change: Callable[[], object]) -> bool:
        """Do something that must be refused where there is no such task or version."""
        try:
            change()
        except TaskNotFound:
            return True
        return False

    @rule(server=SERVERS, name=NAMES, delta=DELTAS, new=st.booleans(), stale=st.booleans())
    def put(self, server: int, name: str, delta: int, new: bool, stale: bool) -> None:
        known = self.known.get(name, Known())
        answers = None if known.active is None else known.versions[known.active]
        try:
            _, changed = self.registries[server].put(
                shared(name),
                self.sources[delta],
                if_match=frozenset({"0" * 12}) if stale else None,
                if_none_match=new,
            )
        except PreconditionFailed:
            assert stale
        except Conflict:
            assert new
            assert answers not in (None, delta)
        else:
            assert not stale
            assert changed == (answers != delta)
            self.known.setdefault(name, known).put(delta)

    @rule(server=SERVERS, name=NAMES)
    def remove(self, server: int, name: str) -> None:
        known = self.known.get(name)
        there = known is not None and known.active is not None
        assert self.refused(lambda: self.registries[server].remove(shared(name))) != there
        if known is not None:
            known.active = None

    @rule(server=SERVERS, name=NAMES, number=st.integers(1, 6), digest=st.booleans())
    def activate(self, server: int, name: str, number: int, digest: bool) -> None:
        registry, known = self.registries[server], self.known.get(name)
        there = known is not None and number in known.versions
        which = f"v{number}"
        if there and digest:
            versions = registry.versions.of(shared(name)).versions
            which = next(v.ref.digest for v in versions if v.number == number)
        assert self.refused(lambda: registry.versions.activate(shared(name), which)) != there
        if known is not None and there:
            known.active = number
            known.retain()

    @rule(server=SERVERS, name=NAMES, number=st.integers(1, 6), removed=st.booleans())
    def alias(self, server: int, name: str, number: int, removed: bool) -> None:
        registry, known = self.registries[server], self.known.get(name)
        there = known is not None and (removed or number in known.versions)
        which = None if removed else str(number)
        assert (
            self.refused(lambda: registry.versions.alias(shared(name), "champion", which)) != there
        )
        if known is not None and there:
            known.aliases.pop("champion", None)
            if not removed:
                known.aliases["champion"] = number
            known.retain()

    @rule(target=leases, server=SERVERS, name=NAMES, alias=st.booleans())
    def lease(self, server: int, name: str, alias: bool) -> Held | None:
        registry, known = self.registries[server], self.known.get(name)
        registry.look()
        there = known is not None and known.active is not None
        number = known.aliases.get("champion") if known and alias else known and known.active
        try:
            lease = registry.lease(shared(f"{name}@champion" if alias else name))
        except TaskNotFound:
            assert not there or number is None
            return None
        assert known is not None
        assert number is not None
        held = Held(server, lease, known.versions[number])
        assert number_of(registry.load(lease.version.ref)) == held.delta
        self.held.append(held)
        return held

    @rule(held=consumes(leases))
    def release(self, held: Held | None) -> None:
        if held is not None and held in self.held:
            self.held.remove(held)
            held.lease.release()
            held.lease.release()

    @rule(server=SERVERS)
    def restart(self, server: int) -> None:
        self.held = [held for held in self.held if held.server != server]
        self.registries[server].close()
        self.registries[server] = self.open()

    @invariant()
    def both_servers_show_what_is_there(self) -> None:
        there = {name: task for name, task in self.known.items() if task.active is not None}
        for registry in self.registries:
            registry.look()
            shown = {task.name: task for task in registry.all()}
            assert shown.keys() == there.keys()
            for name, known in there.items():
                numbers = {version.number for version in shown[name].versions}
                assert numbers == known.versions.keys()
                assert shown[name].active.number == known.active
                assert shown[name].aliases == known.aliases
            for name, known in self.known.items():
                for version in registry.versions.of(shared(name)).versions:
                    assert number_of(registry.load(version.ref)) == known.versions[version.number]

    @invariant()
    def what_is_needed_is_in_the_store_and_nothing_else(self) -> None:
        for registry in self.registries:
            registry.settle()
        deltas = {delta for known in self.known.values() for delta in known.versions.values()}
        leased = {held.delta for held in self.held}
        blobs = list((self.root / "store" / "blobs").iterdir())
        # What another server removed may be leased here: it is in memory then.
        assert len(deltas) <= len(blobs) <= len(deltas | leased)

    def teardown(self) -> None:
        for registry in self.registries:
            registry.close()
        self.folder.cleanup()


_SETTINGS = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_over_sqlite() -> None:
    run_state_machine_as_test(RegistryMachine, settings=_SETTINGS)


def test_over_postgres(postgres: Cluster) -> None:
    class OverPostgres(RegistryMachine):
        def __init__(self) -> None:
            self.url = postgres.database()
            super().__init__()

        def database(self) -> Database:
            return Postgres(self.url)

    run_state_machine_as_test(OverPostgres, settings=settings(_SETTINGS, max_examples=10))

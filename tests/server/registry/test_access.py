"""Keys and limits as servers have them in memory, and when they read them anew."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from deltas.base import BaseSpec
from server.errors import RegistryUnavailable
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import Scope, new_key
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store

Make = Callable[[int], Path]


def test_keys_and_limits_are_read_when_they_change_and_not_when_tasks_do(
    registry: Registry, base: BaseSpec, tmp_path: Path, delta: Make
) -> None:
    root = tmp_path / "store"
    registry.put(shared("spam"), delta(0))
    with (
        closing(registry),
        closing(Registry(Store(root), base)) as other,
        closing(Sqlite(root / DATABASE)) as database,
    ):
        ring = other.access.keys
        registry.put(shared("spam"), delta(1))
        other.look()
        assert other.get(shared("spam")).active.number == 2
        assert other.access.keys is ring
        key, text = new_key("one", "acme", [Scope.INFER])
        Keys(database).add(key)
        registry.remove(shared("spam"))
        other.look()
        assert other.access.keys.find(text) == key
        Tenants(database).change("acme", lambda tenant: replace(tenant, weight=3))
        other.look()
        assert other.access.tenant("acme").weight == 3


def test_a_change_that_is_made_is_told_so_though_it_cannot_be_read_back(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Sqlite) -> NoReturn:
        raise RegistryUnavailable("The database is away.")

    key, text = new_key("late", "acme", [Scope.INFER])
    with closing(registry), closing(Sqlite(tmp_path / "store" / DATABASE)) as database:
        with monkeypatch.context() as patched:
            patched.setattr(Sqlite, "reading", away)
            registry.access.add(key, "chief")
        assert Keys(database).all().sound == [key]
        registry.look()
        assert registry.access.keys.find(text) == key

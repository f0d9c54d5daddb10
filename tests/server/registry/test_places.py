"""How many tasks may answer: counted for all servers of a store, in the step that adds one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import DeltaUnavailable, InsufficientStorage
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store

Make = Callable[[int], Path]


def opened(root: Path, base: BaseSpec, max_tasks: int) -> Registry:
    return Registry(Store(root), base, max_tasks=max_tasks)


def test_servers_together_hold_no_more_tasks_than_one_may(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registries = [opened(tmp_path / "store", base, 3) for _ in range(2)]
    sources = [delta(number) for number in range(8)]

    def put(number: int) -> bool:
        try:
            registries[number % 2].put(shared(f"task-{number}"), sources[number])
        except InsufficientStorage:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 3
    for registry in registries:
        registry.look()
        assert len(registry.all()) == 3
        registry.settle()
    assert len(list((tmp_path / "store" / "blobs").iterdir())) == 3
    registries[0].remove(shared(registries[0].all()[0].name))
    registries[1].put(shared("new"), sources[0])
    for registry in registries:
        registry.close()


def test_a_lower_bound_leaves_the_tasks_that_there_are(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = opened(tmp_path / "store", base, 3)
    for name in ("a", "b", "removed"):
        registry.put(shared(name), delta(1))
    registry.put(shared("a"), delta(2))
    registry.remove(shared("removed"))
    registry.close()
    registry = opened(tmp_path / "store", base, 1)
    assert registry.versions.activate(shared("a"), "1").active.number == 1
    assert registry.put(shared("b"), delta(2))[1]
    for refused in (
        lambda: registry.put(shared("new"), delta(1)),
        lambda: registry.versions.activate(shared("removed"), "1"),
    ):
        with pytest.raises(InsufficientStorage, match="--max-tasks"):
            refused()
    registry.close()


def test_an_alias_that_moves_meanwhile_brings_no_unread_files_back(
    base: BaseSpec, delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, other = (opened(tmp_path / "store", base, 3) for _ in range(2))
    for number in (1, 2, 3):
        registry.put(shared("spam"), delta(number))
    damaged = registry.versions.of(shared("spam")).versions[1].ref.digest
    for path in (tmp_path / "store" / "blobs" / damaged).iterdir():
        path.unlink()
    registry.versions.alias(shared("spam"), "champion", "1")
    real = Store.is_whole

    def read(store: Store, digest: str) -> bool:
        whole = real(store, digest)
        other.versions.alias(shared("spam"), "champion", "2")
        return whole

    monkeypatch.setattr(Store, "is_whole", read)
    assert registry.versions.activate(shared("spam"), "champion").active.number == 1
    with pytest.raises(DeltaUnavailable, match="task 'spam'"):
        registry.versions.activate(shared("spam"), "champion")
    for each in (registry, other):
        each.close()

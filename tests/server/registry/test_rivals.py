"""Who changes a registry at once: one wins, nobody waits for another name, and nothing is torn."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta
from server.errors import Conflict
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.staging import Staging
from server.registry.store import Store

Make = Callable[[int], Path]


def test_many_puts_of_one_name_check_the_delta_once(
    registry: Registry, delta: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Path] = []
    real = formats.load

    def counted(directory: Path, *rest: Any) -> Delta:
        checks.append(directory)
        return real(directory, *rest)

    monkeypatch.setattr(formats, "load", counted)
    source = delta(1)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: registry.put(shared("spam"), source), range(8)))
    assert len(checks) == 1
    assert sum(changed for _, changed in results) == 1
    assert len({task.active.ref for task, _ in results}) == 1


def test_one_of_many_rivals_wins_a_new_name(registry: Registry, delta: Make) -> None:
    sources = [delta(number) for number in range(8)]

    def register(source: Path) -> bool:
        try:
            return registry.put(shared("spam"), source, if_none_match=True)[1]
        except Conflict:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(register, sources)) == 1


def test_replacing_under_traffic_never_serves_what_is_gone(registry: Registry, delta: Make) -> None:
    sources = [delta(number) for number in range(3)]
    registry.put(shared("spam"), sources[0])
    begun, stop = threading.Barrier(4), threading.Event()

    def serve(_: int) -> None:
        begun.wait()
        while not stop.is_set():
            lease = registry.lease(shared("spam"))
            registry.load(lease.version.ref)
            lease.release()

    with ThreadPoolExecutor(4) as pool:
        served = [pool.submit(serve, index) for index in range(3)]
        begun.wait()
        for turn in range(30):
            registry.put(shared("spam"), sources[turn % 3])
        stop.set()
        for each in served:
            each.result()
    assert len(registry.get(shared("spam")).versions) == 3


def test_a_put_of_one_name_does_not_wait_for_another(
    registry: Registry, base: BaseSpec, delta: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, proceed = threading.Event(), threading.Event()
    real = Store.keeping

    def slow(store: Store, staging: Staging, digest: str) -> AbstractContextManager[None]:
        if not entered.is_set():
            entered.set()
            assert proceed.wait(60)
        return real(store, staging, digest)

    monkeypatch.setattr(Store, "keeping", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(registry.put, shared("slow"), delta(1))
        assert entered.wait(60)
        registry.put(shared("quick"), delta(2))
        proceed.set()
        first.result(60)
    assert [task.name for task in registry.all()] == ["quick", "slow"]

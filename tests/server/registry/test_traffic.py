"""Traffic: who answers a request that names no version."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InvalidRequest, PreconditionFailed, TaskNotFound
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from server.registry.traffic import Bound

Make = Callable[[int], Path]
KEYS = [f"user-{n}" for n in range(2000)]


@pytest.fixture
def server(registry: Registry, delta: Make) -> Registry:
    """Three versions of a task, the first of them active."""
    for number in (1, 2, 3):
        registry.put(shared("spam"), delta(number))
    registry.versions.activate(shared("spam"), "1")
    return registry


def drawn(registry: Registry) -> dict[str, int]:
    """Which version each key is answered by."""
    return {key: number_for(registry, key) for key in KEYS}


def number_for(registry: Registry, key: str = "", name: str = "spam") -> int:
    (lease,) = registry.leases(shared(name), 1, key)
    lease.release()
    return lease.version.number


@pytest.mark.parametrize(
    "shares", [{"v1": 90, "v2": 10}, {"1": 1, "2": 1, "3": 2}, {"2": 5}, {"1": 0, "2": 3, "3": 1}]
)
def test_keys_are_shared_out_by_weight(server: Registry, shares: Mapping[str, int]) -> None:
    server.sharing.share(shared("spam"), shares)
    for counts in (
        Counter(drawn(server).values()),
        Counter(number_for(server) for _ in KEYS),
    ):
        for which, share in shares.items():
            part = share / sum(shares.values())
            # Five standard deviations of a binomial: one run in some millions is beyond.
            bound = 5 * math.sqrt(len(KEYS) * part * (1 - part))
            assert abs(counts[int(which.removeprefix("v"))] - part * len(KEYS)) <= bound


def test_a_share_that_grows_moves_nobody_who_was_there(server: Registry) -> None:
    before: dict[str, int] = {}
    for share in (1, 10, 20, 50, 90):
        server.sharing.share(shared("spam"), {"v1": 100 - share, "v2": share})
        now = drawn(server)
        assert all(now[key] == 2 for key, number in before.items() if number == 2)
        before = now
    server.sharing.share(shared("spam"), {"v1": 10, "v2": 90, "v3": 20})
    now = drawn(server)
    assert {now[key] for key in KEYS if now[key] != before[key]} == {3}


def test_a_version_that_steps_back_moves_none_of_the_others(server: Registry) -> None:
    server.sharing.share(shared("spam"), {"v1": 50, "v2": 30, "v3": 20}, bound=Bound(0.1))
    before = drawn(server)
    assert server.sharing.step_back(shared("spam"), 2, "too many errors")
    now, task = drawn(server), server.versions.of(shared("spam"))
    assert all(now[key] == number for key, number in before.items() if number != 2)
    assert set(now.values()) == {1, 3}
    assert task.traffic is not None
    assert task.traffic.shares == {1: 50, 2: 0, 3: 20}
    step = task.traffic.stepped_back[2]
    assert (step.share, step.reason) == (30, "too many errors")
    # Once is enough, whoever sees it.
    assert not server.sharing.step_back(shared("spam"), 2, "again")
    assert server.versions.of(shared("spam")) == task
    # Without anybody left the active version answers, which never steps back.
    server.sharing.share(shared("spam"), {"v1": 1, "v2": 1})
    assert not server.sharing.step_back(shared("spam"), 1, "too many errors")
    server.sharing.share(shared("spam"), {"v2": 1})
    assert server.sharing.step_back(shared("spam"), 2, "too many errors")
    assert set(drawn(server).values()) == {1}


def test_servers_and_restarts_agree_on_a_key(
    base: BaseSpec, server: Registry, tmp_path: Path
) -> None:
    server.sharing.share(shared("spam"), {"v1": 60, "v2": 40}, shadow="v3", bound=Bound(0.5, 10, 5))
    before = drawn(server)
    other = Registry(Store(tmp_path / "store"), base)
    assert drawn(other) == before
    assert other.versions.of(shared("spam")) == server.versions.of(shared("spam"))
    server.sharing.share(shared("spam"), {"v1": 20, "v2": 80})
    other.look()
    assert drawn(other) == drawn(server) != before
    server.sharing.unshare(shared("spam"))
    other.look()
    assert set(drawn(other).values()) == {1}
    for registry in (server, other):
        registry.close()


def test_who_names_a_version_gets_it(server: Registry) -> None:
    server.versions.alias(shared("spam"), "best", "3")
    server.sharing.share(shared("spam"), {"best": 1})
    assert number_for(server) == 3
    assert [number_for(server, name=f"spam@{which}") for which in ("1", "2", "best")] == [1, 2, 3]
    # What the name meant when the shares were given is what they are of.
    server.versions.alias(shared("spam"), "best", "2")
    assert number_for(server) == 3


def test_one_version_answers_all_requests_of_a_call(server: Registry) -> None:
    server.sharing.share(shared("spam"), {"1": 1, "2": 1, "3": 1})
    for _ in range(20):
        leases = server.leases(shared("spam"), 8)
        assert len({lease.version for lease in leases}) == 1
        for lease in leases:
            lease.release()


def test_activating_ends_the_traffic(server: Registry) -> None:
    for which in ("2", "1", "1"):
        server.sharing.share(shared("spam"), {"v1": 1, "v3": 1})
        server.versions.activate(shared("spam"), which)
        assert set(drawn(server).values()) == {int(which)}
    server.sharing.share(shared("spam"), {"v1": 1, "v3": 1})
    server.remove(shared("spam"))
    server.versions.activate(shared("spam"), "1")
    assert server.versions.of(shared("spam")).traffic is None


def test_a_delta_that_is_put_meanwhile_does_not_answer(server: Registry, delta: Make) -> None:
    server.sharing.share(shared("spam"), {"v1": 1, "v2": 1})
    before = drawn(server)
    shown, new = server.put(shared("spam"), delta(4))
    assert new
    assert (shown.active.number, max(v.number for v in shown.versions)) == (1, 4)
    server.put(shared("spam"), delta(2))
    assert drawn(server) == before
    server.put(shared("spam"), delta(3), activate=True)
    assert set(drawn(server).values()) == {3}


def test_a_delta_is_put_without_answering(registry: Registry, delta: Make) -> None:
    assert registry.put(shared("spam"), delta(1), activate=False)[0].active.number == 1
    shown, new = registry.put(shared("spam"), delta(2), activate=False)
    assert (shown.active.number, new, len(shown.versions)) == (1, True, 2)
    assert number_for(registry) == 1
    assert number_for(registry, name="spam@2") == 2


def test_versions_that_share_the_traffic_are_kept(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base, retention=Retention(versions=1))
    registry.put(shared("spam"), delta(1))
    registry.put(shared("spam"), delta(2), activate=False)
    registry.put(shared("spam"), delta(3), activate=False)
    # Only the newest and what answers were kept.
    assert [each.number for each in registry.versions.of(shared("spam")).versions] == [1, 3]
    registry.sharing.share(shared("spam"), {"v1": 1, "v3": 0})
    registry.put(shared("spam"), delta(4))
    registry.sharing.share(shared("spam"), {"v1": 1, "v3": 1}, shadow="v4")
    registry.put(shared("spam"), delta(5))
    registry.put(shared("spam"), delta(6))
    assert [each.number for each in registry.versions.of(shared("spam")).versions] == [1, 3, 4, 6]
    registry.sharing.unshare(shared("spam"))
    assert [each.number for each in registry.versions.of(shared("spam")).versions] == [1, 6]


def test_what_cannot_be_shared_is_refused(server: Registry, base: BaseSpec, tmp_path: Path) -> None:
    before = server.versions.of(shared("spam"))
    with pytest.raises(TaskNotFound, match="no version '9'"):
        server.sharing.share(shared("spam"), {"9": 1})
    with pytest.raises(TaskNotFound):
        server.sharing.share(shared("ham"), {"1": 1})
    with pytest.raises(InvalidRequest, match="twice"):
        server.sharing.share(shared("spam"), {"1": 1, "v1": 1})
    for nothing in ({}, {"1": 0, "2": 0}):
        with pytest.raises(InvalidRequest):
            server.sharing.share(shared("spam"), nothing)
    with pytest.raises(PreconditionFailed):
        server.sharing.share(
            shared("spam"), {"1": 1}, if_match=frozenset({before.versions[1].ref.version})
        )
    assert server.versions.of(shared("spam")) == before
    first = server.sharing.share(shared("spam"), {"1": 1}, if_match=frozenset({before.state}))
    server.sharing.share(shared("spam"), {"2": 1}, if_match=frozenset({first.state}))
    with pytest.raises(PreconditionFailed):
        server.sharing.share(shared("spam"), {"3": 1}, if_match=frozenset({first.state}))
    with pytest.raises(PreconditionFailed):
        server.sharing.unshare(shared("spam"), if_match=frozenset({first.state}))

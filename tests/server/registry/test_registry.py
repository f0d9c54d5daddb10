"""The registry: names, versions, leases and the rules of replacement."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef, TaskType
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.formats import native
from server.errors import (
    Conflict,
    DeltaUnavailable,
    InvalidRequest,
    PreconditionFailed,
    TaskNotFound,
)
from server.registry.layout import DATABASE
from server.registry.lease import Lease
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.server.registry.prompts import number_of

Make = Callable[[int], Path]


def test_a_task_is_put_shown_replaced_and_removed(registry: Registry, delta: Make) -> None:
    shown, new = registry.put(shared("spam"), delta(1))
    assert new
    assert shown == registry.get(shared("spam"))
    first = shown.active
    assert (first.kind, first.type, first.extent.rows) == ("prompt", TaskType.GENERATE, 1)
    assert first.bytes == sum(
        tensor.nbytes for part in registry.load(first.ref).parts for tensor in part.memory
    )
    assert registry.put(shared("spam"), delta(1)) == (shown, False)
    shown, changed = registry.put(shared("spam"), delta(2))
    assert changed
    assert registry.get(shared("spam")) == shown
    assert number_of(registry.load(shown.active.ref)) == 2
    registry.remove(shared("spam"))
    assert registry.all() == []
    with pytest.raises(TaskNotFound):
        registry.remove(shared("spam"))


def test_tensors_are_read_in_the_bases_precision(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base, torch.bfloat16)
    checked: list[Delta] = []
    registry.on_checked = lambda ref, delta: checked.append(delta)
    ref = registry.put(shared("spam"), delta(1))[0].active.ref
    for read in (*checked, registry.load(ref)):
        assert {t.dtype for part in read.parts for t in part.memory} == {torch.bfloat16}
    assert len(checked) == 1


def test_a_lease_keeps_its_version_until_released(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base, retention=Retention(versions=1))
    forgotten: list[DeltaRef] = []
    registry.on_forgotten = forgotten.append
    old = registry.put(shared("spam"), delta(1))[0].active
    first, second = registry.lease(shared("spam")), registry.lease(shared("spam"))
    new = registry.put(shared("spam"), delta(2))[0].active
    assert registry.lease(shared("spam")).version == new
    assert registry.get(shared("spam")).versions == (new,)
    first.release()
    first.release()
    registry.settle()
    assert number_of(registry.load(old.ref)) == 1
    assert not forgotten
    second.release()
    assert forgotten == [old.ref]
    registry.settle()
    with pytest.raises(DeltaUnavailable):
        registry.load(old.ref)


def test_a_version_that_comes_back_is_not_forgotten(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry = Registry(Store(tmp_path / "store"), base, retention=Retention(versions=1))
    forgotten: list[DeltaRef] = []
    registry.on_forgotten = forgotten.append
    version = registry.put(shared("spam"), delta(1))[0].active
    lease = registry.lease(shared("spam"))
    registry.put(shared("spam"), delta(2))
    registry.put(shared("spam"), delta(1))
    lease.release()
    assert [ref.digest for ref in forgotten] != [version.ref.digest]
    assert number_of(registry.load(version.ref)) == 1
    registry.remove(shared("spam"))
    assert version.ref in forgotten


def blobs(store: Path) -> set[str]:
    return {path.name for path in (store / "blobs").iterdir()}


def test_a_version_put_again_while_it_is_leased_leaves_no_copy(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    keeping_none = Retention(versions=1, removed_hours=0)
    registry = Registry(Store(tmp_path / "store"), base, retention=keeping_none)
    leases: list[Lease] = []
    for number in (1, 2, 1, 2, 1):
        registry.put(shared("spam"), delta(number))
        leases.append(registry.lease(shared("spam")))
    registry.settle()
    assert len(blobs(tmp_path / "store")) == 2
    registry.remove(shared("spam"))
    for lease in leases:
        registry.settle()
        assert number_of(registry.load(lease.version.ref)) in (1, 2)
        lease.release()
    registry.settle()
    assert not blobs(tmp_path / "store")


def test_a_removed_task_answers_whom_it_promised(registry: Registry, delta: Make) -> None:
    registry.put(shared("spam"), delta(1))
    lease = registry.lease(shared("spam"))
    registry.remove(shared("spam"))
    with pytest.raises(TaskNotFound):
        registry.lease(shared("spam"))
    assert number_of(registry.load(lease.version.ref)) == 1


def test_nothing_is_remembered_of_what_is_gone(base: BaseSpec, delta: Make, tmp_path: Path) -> None:
    registry = Registry(Store(tmp_path / "store"), base, retention=Retention(removed_hours=0))
    # No other test has such a one.
    digest = registry.put(shared("spam"), delta(126))[0].active.ref.digest

    def remembered() -> bool:
        refs = (each for each in gc.get_objects() if type(each) is DeltaRef)
        return any(ref.digest == digest for ref in refs)

    assert remembered()
    registry.remove(shared("spam"))
    registry.settle()
    gc.collect()
    assert not remembered()


def test_two_names_share_files_but_not_versions(registry: Registry, delta: Make) -> None:
    a = registry.put(shared("a"), delta(1))[0].active
    b = registry.put(shared("b"), delta(1))[0].active
    assert a.ref.digest == b.ref.digest
    assert a.ref != b.ref
    registry.remove(shared("a"))
    assert number_of(registry.load(b.ref)) == 1


def test_the_digest_is_of_names_and_contents_alone(registry: Registry, delta: Make) -> None:
    version = registry.put(shared("a"), delta(1))[0].active
    (delta(1) / "README.md").write_text("not part of the delta")
    again, changed = registry.put(shared("a"), delta(1))
    assert (again.active, changed) == (version, False)


def test_conditions_are_those_of_http(registry: Registry, delta: Make) -> None:
    with pytest.raises(PreconditionFailed):
        registry.put(shared("spam"), delta(1), if_match=frozenset({"*"}))
    first = registry.put(shared("spam"), delta(1), if_none_match=True)[0].active
    again = registry.put(shared("spam"), delta(1), if_none_match=True)
    assert again == (registry.get(shared("spam")), False)
    with pytest.raises(Conflict):
        registry.put(shared("spam"), delta(2), if_none_match=True)
    with pytest.raises(PreconditionFailed):
        registry.put(shared("spam"), delta(2), if_match=frozenset({"0" * 12}))
    assert registry.get(shared("spam")).active == first
    matching = frozenset({first.ref.version})
    second = registry.put(shared("spam"), delta(2), if_match=matching)[0].active
    registry.put(shared("spam"), delta(3), if_match=frozenset({second.ref.digest}))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "base",
        "-a",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\0",
        "a\r\nb",
        "a,b",
        "a b",
        "\u0430",
        "a" * 129,
    ],
)
def test_odd_names_are_refused(name: str, registry: Registry, delta: Make) -> None:
    with pytest.raises(InvalidRequest) as caught:
        registry.put(shared(name), delta(1))
    assert caught.value.param == "task"
    assert registry.all() == []


def test_an_unknown_task_names_close_matches_and_never_odd_names(
    registry: Registry, delta: Make
) -> None:
    registry.put(shared("sentiment"), delta(1))
    with pytest.raises(TaskNotFound, match="Did you mean sentiment"):
        registry.lease(shared("sentimnt"))
    with pytest.raises(TaskNotFound) as caught:
        registry.lease(shared("sentiment\r\nx: y" * 1000))
    assert len(str(caught.value)) < 100


def test_the_bare_base_is_always_there(registry: Registry) -> None:
    lease = registry.lease(shared("base"))
    assert (lease.version.kind, lease.version.ref) == ("base", DeltaRef("base", ""))
    lease.release()
    assert registry.get(shared("base")).requests == 1
    assert registry.all() == []


def damaged(directory: Path) -> None:
    weights = directory / native.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])


def pickled(directory: Path) -> None:
    (directory / native.WEIGHTS).unlink()
    (directory / native.CONFIG).rename(directory / "adapter_config.json")
    (directory / "adapter_model.bin").write_bytes(b"\x80")


def linked(directory: Path) -> None:
    weights = directory / native.WEIGHTS
    weights.symlink_to(weights.rename(directory / "elsewhere"))


@pytest.mark.parametrize(
    ("damage", "error"), [(damaged, InvalidDelta), (pickled, UnsafeDelta), (linked, InvalidDelta)]
)
def test_a_bad_delta_changes_nothing(
    damage: Callable[[Path], None],
    error: type[Exception],
    registry: Registry,
    delta: Make,
    tmp_path: Path,
) -> None:
    version = registry.put(shared("spam"), delta(1))[0].active
    files = sorted((tmp_path / "store").rglob("*"))
    damage(delta(2))
    for name in ("spam", "new"):
        with pytest.raises(error):
            registry.put(shared(name), tmp_path / "delta-2")
    assert [task.active for task in registry.all()] == [version]
    assert sorted((tmp_path / "store").rglob("*")) == files


def test_files_lost_from_the_store_are_told_and_put_again(
    registry: Registry, delta: Make, tmp_path: Path
) -> None:
    version = registry.put(shared("spam"), delta(1))[0].active
    for path in (tmp_path / "store").rglob(native.WEIGHTS):
        path.unlink()
    with pytest.raises(DeltaUnavailable):
        registry.load(version.ref)
    assert registry.put(shared("spam"), delta(1)) == (registry.get(shared("spam")), False)
    assert number_of(registry.load(version.ref)) == 1


def test_a_lost_database_costs_no_blob(base: BaseSpec, delta: Make, tmp_path: Path) -> None:
    root = tmp_path / "store"
    registry = Registry(Store(root), base)
    version = registry.put(shared("spam"), delta(1))[0].active
    registry.close()
    (root / DATABASE).rename(tmp_path / "back-up")
    for _ in range(2):
        registry = Registry(Store(root), base)
        assert "spam" not in {task.name for task in registry.all()}
        registry.put(shared("new"), delta(2))
        registry.close()
    (aside,) = root.glob("blobs-*")
    (tmp_path / "back-up").replace(root / DATABASE)
    for stale in root.glob(f"{DATABASE}-*"):
        stale.unlink()
    (aside / version.ref.digest).rename(root / "blobs" / version.ref.digest)
    registry = Registry(Store(root), base)
    assert number_of(registry.load(registry.get(shared("spam")).active.ref)) == 1
    registry.close()

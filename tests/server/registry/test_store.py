"""The store: each delta is whole or absent, whatever happens while it is put."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.errors import InvalidDelta
from deltas.folder import Folder
from deltas.formats import native
from server.errors import DeltaUnavailable, InsufficientStorage, ShuttingDown
from server.registry.registry import Registry
from server.registry.staging import digest_of
from server.registry.store import Store
from tests.disks import full_disk

Make = Callable[[int], Path]
NAMES = frozenset({native.CONFIG, native.WEIGHTS})

KILLED_AT = {
    "copying": ("server.registry.staging:Staging", "write", 2),
    "syncing a file": ("os", "fsync", 1),
    "syncing the copy": ("os", "fsync", 3),
    "renaming": ("pathlib:Path", "rename", 1),
    "syncing the store": ("os", "fsync", 4),
    "removing": ("shutil", "rmtree", 2),
    "locking": ("fcntl", "flock", 1),
    "unlocking": ("pathlib:Path", "unlink", 1),
    "leaving": ("pathlib:Path", "rmdir", 1),
}

SCRIPT = """
import os, pkgutil, signal, sys
from pathlib import Path
from deltas.folder import Folder
from server.registry.store import Store
from tests.disks import full_disk

def die_at(place, name, count):
    owner = pkgutil.resolve_name(place)
    real, calls = getattr(owner, name), []
    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(owner, name, counted)

root, source, points, names = Path(sys.argv[1]), Path(sys.argv[2]), *map(eval, sys.argv[3:])
for point, place in points.items():
    child = os.fork()
    if child == 0:
        die_at(*place)
        store = Store(root / point)
        with store.stage() as staging:
            staging.copy(Folder(source), names)
            digest = staging.digest
            store.keep(staging, digest)
        store.drop(digest)
        store.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, point
"""


def whole_copies(root: Path) -> list[Path]:
    return [path for path in root.glob("run-*/*") if len(path.name) == 64]


def test_a_kill_leaves_each_delta_whole_or_absent(delta: Make, tmp_path: Path) -> None:
    arguments = [str(tmp_path), str(delta(1)), repr(KILLED_AT), repr(NAMES)]
    subprocess.run([sys.executable, "-c", SCRIPT, *arguments], timeout=240, check=True)
    for point in KILLED_AT:
        root = tmp_path / point
        assert list(root.glob("run-*")), point
        for copy in whole_copies(root):
            assert digest_of(copy) == copy.name
        Store(root).close()
        assert not list(root.iterdir()), point


def kept(store: Store, source: Path) -> str:
    """Copy a delta, keep it and return its digest."""
    with store.stage() as staging:
        staging.copy(Folder(source), NAMES)
        digest = staging.digest
        store.keep(staging, digest)
    return digest


def test_a_server_that_lives_is_not_swept(delta: Make, tmp_path: Path) -> None:
    first = Store(tmp_path / "store")
    digest = kept(first, delta(1))
    second = Store(tmp_path / "store")
    assert digest_of(first.path(digest)) == digest
    first.close()
    first.close()
    second.close()
    assert not list((tmp_path / "store").iterdir())


def test_what_has_lost_its_lock_is_swept(tmp_path: Path) -> None:
    (tmp_path / "run-empty").mkdir()
    (tmp_path / "run-full" / "scratch").mkdir(parents=True)
    Store(tmp_path).close()
    assert not list(tmp_path.iterdir())


def test_servers_that_start_at_once_do_not_sweep_one_another(delta: Make, tmp_path: Path) -> None:
    source = delta(1)
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: Store(tmp_path / "store"), range(64)))
        digests = set(pool.map(lambda store: kept(store, source), stores))
    assert len({digest_of(store.path(*digests)) for store in stores}) == 1
    for store in stores:
        store.close()
    assert not list((tmp_path / "store").iterdir())


def test_a_store_that_is_removed_is_made_anew(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = kept(store, delta(1))
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(DeltaUnavailable):
        store.path(first)
    second = kept(store, delta(2))
    Store(tmp_path / "store").close()
    assert digest_of(store.path(second)) == second
    assert store.scratch.is_dir()
    assert kept(store, delta(1)) == first
    assert digest_of(store.path(first)) == first
    store.close()
    assert not list((tmp_path / "store").iterdir())


def test_dropping_waits_for_no_disk(
    delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    proceed, real = threading.Event(), shutil.rmtree

    def slow(path: Path, ignore_errors: bool) -> None:
        if path.name.startswith("trash-"):
            assert proceed.wait(60)
        real(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", slow)
    digest = kept(store, delta(1))
    store.drop(digest)
    with pytest.raises(DeltaUnavailable):
        store.path(digest)
    assert kept(store, delta(1)) == digest
    assert digest_of(store.path(digest)) == digest
    proceed.set()
    store.close()
    assert not list((tmp_path / "store").iterdir())


def test_what_is_staged_but_not_kept_is_gone(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage() as staging:
        staging.copy(Folder(delta(1)), NAMES)
        assert digest_of(staging.path) == staging.digest
    assert not staging.path.exists()
    assert not whole_copies(tmp_path / "store")


def test_a_source_swapped_after_the_copy_has_no_effect(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage() as staging:
        staging.copy(Folder(delta(1)), NAMES)
        digest = staging.digest
        (delta(1) / native.WEIGHTS).write_bytes(b"swapped")
        store.keep(staging, digest)
    assert digest_of(store.path(digest)) == digest


def test_a_checkpoint_above_the_budget_is_not_copied(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", max_bytes=100)
    with pytest.raises(InvalidDelta, match="too large"), store.stage() as staging:
        staging.copy(Folder(delta(1)), NAMES)


def test_a_file_that_holds_more_than_it_said_is_not_copied(tmp_path: Path) -> None:
    process = Folder(Path("/proc/self"))
    with process.open("smaps") as (_, size):
        assert size == 0
    store = Store(tmp_path / "store", max_bytes=100)
    with pytest.raises(InvalidDelta, match="too large"), store.stage() as staging:
        staging.copy(process, {"smaps"})


def test_all_deltas_together_take_no_more_than_their_quota(delta: Make, tmp_path: Path) -> None:
    sizes = [sum(path.stat().st_size for path in delta(number).iterdir()) for number in range(3)]
    store = Store(tmp_path / "store", quota=sum(sizes[:2]))
    first = kept(store, delta(0))
    for _ in range(3):
        second = kept(store, delta(1))
        with pytest.raises(InsufficientStorage, match="--store-gb"):
            kept(store, delta(2))
        store.drop(second)
    assert digest_of(store.path(first)) == first


def test_nothing_comes_in_once_a_store_is_closed(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = kept(store, delta(1))
    with store.stage() as staging:
        closing = threading.Thread(target=store.close)
        closing.start()
        closing.join()
        with pytest.raises(ShuttingDown):
            staging.copy(Folder(delta(2)), NAMES)
    with pytest.raises(ShuttingDown):
        kept(store, delta(2))
    store.drop(digest)
    assert not list((tmp_path / "store").iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry, source = Registry(Store(tmp_path / "store"), base), delta(1)
    old = registry.put("spam", delta(0))[0].active
    before = sorted((tmp_path / "store").rglob("*"))
    with full_disk(), pytest.raises(InsufficientStorage):
        registry.put("spam", source)
    assert registry.get("spam").active == old
    assert sorted((tmp_path / "store").rglob("*")) == before


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InsufficientStorage):
        Store(tmp_path / "file" / "store")


def test_reading_does_not_wait_for_a_pipe(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (delta(1) / native.WEIGHTS).unlink()
    os.mkfifo(tmp_path / "delta-1" / native.WEIGHTS)
    with pytest.raises(InvalidDelta), store.stage() as staging:
        staging.copy(Folder(tmp_path / "delta-1"), NAMES)

"""The store: each delta is whole or absent, whatever happens while it is put."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.errors import InvalidDelta
from deltas.folder import Folder
from deltas.formats import native
from server.errors import DeltaUnavailable, InsufficientStorage, ShuttingDown
from server.registry.names import shared
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
            with store.keeping(staging, digest):
                pass
        store.sweep([digest], lambda _: set())
        store.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, point
"""


def needs_none(_: set[str]) -> set[str]:
    return set()


def blobs(root: Path) -> list[Path]:
    return list(root.glob("blobs/*"))


def test_a_kill_leaves_each_delta_whole_or_absent(delta: Make, tmp_path: Path) -> None:
    arguments = [str(tmp_path), str(delta(1)), repr(KILLED_AT), repr(NAMES)]
    subprocess.run([sys.executable, "-c", SCRIPT, *arguments], timeout=240, check=True)
    for point in KILLED_AT:
        root = tmp_path / point
        assert list(root.glob("run-*")), point
        for blob in blobs(root):
            assert digest_of(blob) == blob.name
        store = Store(root)
        store.sweep(store.digests(), needs_none)
        store.close()
        assert is_empty(root), point


def kept(store: Store, source: Path) -> str:
    """Copy a delta, keep it and return its digest."""
    with store.stage() as staging:
        staging.copy(Folder(source), NAMES)
        digest = staging.digest
        with store.keeping(staging, digest):
            pass
    return digest


def is_empty(root: Path) -> bool:
    return [path.name for path in root.iterdir()] == ["blobs"] and not blobs(root)


def test_blobs_outlive_their_server_and_nothing_else_does(delta: Make, tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    digest = kept(first, delta(1))
    for store in (first, second):
        assert digest_of(store.path(digest)) == digest
        store.close()
        store.close()
    assert not list(tmp_path.glob("run-*"))
    third = Store(tmp_path)
    assert digest_of(third.path(digest)) == digest
    third.sweep(third.digests(), needs_none)
    assert not blobs(tmp_path)
    third.close()


def test_what_has_lost_its_lock_is_swept(tmp_path: Path) -> None:
    (tmp_path / "run-empty").mkdir()
    (tmp_path / "run-full" / "scratch").mkdir(parents=True)
    Store(tmp_path).close()
    assert is_empty(tmp_path)


def test_servers_that_put_and_sweep_at_once_lose_nothing(delta: Make, tmp_path: Path) -> None:
    source, root = delta(1), tmp_path / "store"
    stores = [Store(root) for _ in range(8)]
    wanted: list[str] = []

    def put(store: Store) -> str:
        with store.stage() as staging:
            staging.copy(Folder(source), NAMES)
            digest = staging.digest
            with store.keeping(staging, digest):
                wanted.append(digest)
            assert digest_of(store.path(digest)) == digest
            wanted.remove(digest)
        return digest

    def sweep(store: Store) -> None:
        store.sweep(store.digests(), lambda _: set(wanted))

    digest = ""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            swept = [pool.submit(sweep, store) for store in stores[::2]]
            (digest,) = set(pool.map(put, stores))
            for each in swept:
                each.result()
    sweep(stores[0])
    assert digest not in {path.name for path in blobs(root)}
    for store in stores:
        store.close()
    assert is_empty(root)


def test_a_blob_that_is_being_put_is_not_swept(delta: Make, tmp_path: Path) -> None:
    store, other = Store(tmp_path / "store"), Store(tmp_path / "store")
    digest = ""
    for _ in range(2):
        with store.stage() as staging:
            staging.copy(Folder(delta(1)), NAMES)
            digest = staging.digest
            with store.keeping(staging, digest):
                other.sweep([digest], needs_none)
                assert digest_of(other.path(digest)) == digest
        # The second time it is there already.
    other.sweep([digest], needs_none)
    with pytest.raises(DeltaUnavailable):
        store.path(digest)


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


def test_what_is_damaged_is_told_and_put_again(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = kept(store, delta(1))
    weights = store.path(digest) / native.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert not store.is_whole(digest)
    assert kept(store, delta(1)) == digest
    assert store.is_whole(digest)


def test_a_damaged_blob_is_replaced_once(
    delta: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    digest = kept(first, delta(1))
    (first.path(digest) / native.WEIGHTS).write_bytes(b"")
    placed, ended = threading.Event(), threading.Event()

    def put_meanwhile() -> tuple[int, int]:
        with second.stage() as staging:
            staging.copy(Folder(delta(1)), NAMES)
            with second.keeping(staging, digest):
                before = second.path(digest).stat().st_ino
                placed.set()
                assert ended.wait(60)
                return before, second.path(digest).stat().st_ino

    with ThreadPoolExecutor(1) as pool:
        real, others = Store.is_whole, list[Future[tuple[int, int]]]()

        def looked(store: Store, digest: str) -> bool:
            whole = real(store, digest)
            if store is first and not others:
                others.append(pool.submit(put_meanwhile))
                # Who may come between does.
                placed.wait(1)
            return whole

        monkeypatch.setattr(Store, "is_whole", looked)
        kept(first, delta(1))
        ended.set()
        before, after = others[0].result(60)
    assert before == after
    assert first.is_whole(digest)


def test_what_is_staged_but_not_kept_is_gone(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage() as staging:
        staging.copy(Folder(delta(1)), NAMES)
        assert digest_of(staging.path) == staging.digest
    assert not staging.path.exists()
    assert not blobs(tmp_path / "store")


def test_a_source_swapped_after_the_copy_has_no_effect(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage() as staging:
        staging.copy(Folder(delta(1)), NAMES)
        digest = staging.digest
        (delta(1) / native.WEIGHTS).write_bytes(b"swapped")
        with store.keeping(staging, digest):
            pass
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
        store.sweep([second], lambda _: {first})
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
    assert Store(tmp_path / "store").is_whole(digest)


def test_a_full_disk_is_told_and_leaves_nothing(
    base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    registry, source = Registry(Store(tmp_path / "store"), base), delta(1)
    old = registry.put(shared("spam"), delta(0))[0].active
    before = sorted((tmp_path / "store").rglob("*"))
    with full_disk(), pytest.raises(InsufficientStorage):
        registry.put(shared("spam"), source)
    assert registry.get(shared("spam")).active == old
    registry.settle()
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

"""The store: each delta is whole or absent, whatever happens while it is put."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.errors import InvalidDelta
from deltas.formats import native
from server.errors import DeltaUnavailable, InsufficientStorage
from server.registry.registry import Registry
from server.registry.store import Store, digest_of

Make = Callable[[int], Path]
NAMES = frozenset({native.CONFIG, native.WEIGHTS})

KILLED_AT = {
    "copying": ("shutil", "copyfileobj", 2),
    "syncing a file": ("os", "fsync", 1),
    "syncing the copy": ("os", "fsync", 3),
    "renaming": ("pathlib.Path", "rename", 1),
    "syncing the store": ("os", "fsync", 4),
    "removing": ("shutil", "rmtree", 2),
}

SCRIPT = """
import importlib, os, signal, sys
from pathlib import Path
from server.registry.store import Store

def die_at(module, name, count):
    owner = Path if module == "pathlib.Path" else importlib.import_module(module)
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
        with store.stage(source, names) as staged:
            store.keep(staged)
        store.drop(staged.digest)
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


def test_a_server_that_lives_is_not_swept(delta: Make, tmp_path: Path) -> None:
    first = Store(tmp_path / "store")
    with first.stage(delta(1), NAMES) as staged:
        first.keep(staged)
    second = Store(tmp_path / "store")
    assert digest_of(first.path(staged.digest)) == staged.digest
    first.close()
    first.close()
    second.close()
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

    def keep() -> str:
        with store.stage(delta(1), NAMES) as staged:
            store.keep(staged)
        return staged.digest

    monkeypatch.setattr(shutil, "rmtree", slow)
    digest = keep()
    store.drop(digest)
    with pytest.raises(DeltaUnavailable):
        store.path(digest)
    assert keep() == digest
    assert digest_of(store.path(digest)) == digest
    proceed.set()
    store.close()
    assert not list((tmp_path / "store").iterdir())


def test_what_is_staged_but_not_kept_is_gone(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage(delta(1), NAMES) as staged:
        assert digest_of(staged.path) == staged.digest
    assert not staged.path.exists()
    assert not whole_copies(tmp_path / "store")


def test_a_source_swapped_after_the_copy_has_no_effect(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.stage(delta(1), NAMES) as staged:
        (delta(1) / native.WEIGHTS).write_bytes(b"swapped")
        store.keep(staged)
    assert digest_of(store.path(staged.digest)) == staged.digest


def test_a_checkpoint_above_the_budget_is_not_copied(delta: Make, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", max_bytes=100)
    with pytest.raises(InvalidDelta, match="too large"), store.stage(delta(1), NAMES):
        pass


@contextmanager
def full_disk() -> Generator[None]:
    """Let no file of this process grow beyond 64 bytes; the test runner's own output neither."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


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
    with pytest.raises(InvalidDelta), store.stage(tmp_path / "delta-1", NAMES):
        pass

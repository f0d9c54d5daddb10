"""A bucket that servers share: what no version has goes from it, and nothing else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from deltas.base import BaseSpec
from server.cli import main
from server.errors import InvalidSettings, RegistryUnavailable
from server.registry.catalogue.opening import open_database
from server.registry.names import shared
from server.registry.registration import Registration
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.sources.address import Address
from server.registry.store import Store
from server.registry.supply.bucket import Bucket
from server.registry.supply.opening import open_supply
from server.registry.upkeep.bucket_garbage import collect_bucket
from tests.file_server import FileServer, Handler, serving_files
from tests.postgres import Cluster
from tests.server.registry.prompts import number_of

WHERE = "s3://bucket/deltas"
Make = Callable[[int], Path]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving_files() as files:
        for name, value in {
            "AWS_ENDPOINT_URL": files.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_REGION": "eu-west-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield files


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture
def sharing(files: FileServer, url: str, base: BaseSpec, tmp_path: Path) -> Iterator[Registry]:
    del files
    store = Store(tmp_path / "shared")
    database = open_database(url, tmp_path / "shared")
    supply = open_supply(store, database, None, WHERE)
    rules = Retention(versions=1)
    with closing(Registry(store, base, retention=rules, database=database, supply=supply)) as one:
        yield one


def digests(files: FileServer) -> set[str]:
    return {path.split("/")[3] for path in files.files if path.startswith("/bucket/deltas/")}


def age(files: FileServer, digest: str, hours: float = 48) -> None:
    for path in files.files:
        if digest in path:
            files.written[path] -= 3600 * hours


def replaced(sharing: Registry, files: FileServer, delta: Make) -> str:
    """Put two versions of which one is kept; the other's blob, old enough to be collected."""
    first = sharing.put(shared("spam"), delta(1))[0].active.ref.digest
    sharing.put(shared("spam"), delta(2))
    sharing.settle()
    age(files, first)
    return first


def collect(url: str, hours: float = 24, **options: bool) -> tuple[int, int]:
    with closing(open_database(url, Path("/nowhere"))) as database:
        removed = collect_bucket(Bucket(Address.read(WHERE)), database, hours, **options)
    return removed.blobs, removed.of


def test_only_what_is_old_and_of_no_version_is_removed(
    sharing: Registry, files: FileServer, url: str, delta: Make
) -> None:
    seen: list[str] = []
    for number in (1, 2, 3):
        task, _ = sharing.put(shared("spam"), delta(number))
        seen.append(task.active.ref.digest)
    sharing.settle()
    files.files["/bucket/deltas/notes/read.me"] = b"mine"
    files.files["/bucket/elsewhere/" + "0" * 64 + "/x"] = b"mine"
    assert set(seen) < digests(files)
    assert collect(url) == (0, 3)
    age(files, seen[0])
    age(files, seen[2])
    assert collect(url, pretend=True) == (1, 3)
    assert set(seen) < digests(files)
    assert collect(url) == (1, 3)
    assert digests(files) == {seen[1], seen[2], "notes"}
    assert number_of(sharing.load(sharing.get(shared("spam")).active.ref)) == 3
    assert len(files.files) == 2 + sum(seen[1] in path or seen[2] in path for path in files.files)


def test_what_is_put_again_while_garbage_is_collected_is_there_in_the_end(
    sharing: Registry, files: FileServer, url: str, delta: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replaced(sharing, files, delta)
    change = sharing._keeper.change

    def put_between(*args: Any, **options: Any) -> Any:
        # The blob is in the bucket, and the registry does not name it yet.
        monkeypatch.setattr(sharing._keeper, "change", change)
        age(files, first)
        assert collect(url) == (1, 2)
        return change(*args, **options)

    monkeypatch.setattr(sharing._keeper, "change", put_between)
    sharing.put(shared("again"), delta(1))
    assert first in digests(files)


def test_another_registry_removes_nothing(
    sharing: Registry, files: FileServer, postgres: Cluster, delta: Make, base: BaseSpec,
    tmp_path: Path,
) -> None:  # fmt: skip
    digest = sharing.put(shared("spam"), delta(1))[0].active.ref.digest
    age(files, digest)
    other = postgres.database()
    with pytest.raises(RegistryUnavailable, match="new or was emptied"):
        collect(other)
    Registry(Store(tmp_path), base, database=open_database(other, tmp_path)).close()
    with pytest.raises(InvalidSettings, match="--registry and --blobs"):
        collect(other)
    assert digest in digests(files)


def test_a_bucket_that_fails_is_told_without_secrets(
    sharing: Registry, files: FileServer, url: str, delta: Make
) -> None:
    first = replaced(sharing, files, delta)
    files.refuse = True
    with pytest.raises(RegistryUnavailable, match="--blobs") as caught:
        collect(url)
    assert "hunter2" not in str(caught.value)
    assert first in digests(files)


def test_nothing_is_removed_once_the_registry_may_have_changed(
    sharing: Registry, files: FileServer, url: str, delta: Make
) -> None:
    first = replaced(sharing, files, delta)
    ended = Event()

    def late(handler: Handler) -> None:
        again = first in handler.path
        if again:
            # The database lets nobody hold its lock for so long.
            files.special.clear()
            ended.wait(11)
        handler._list("bucket", f"deltas/{first}" if again else "deltas/")

    files.special["/bucket"] = late
    try:
        with pytest.raises(RegistryUnavailable, match="cannot be listed"):
            collect(url)
    finally:
        ended.set()
    assert first in digests(files)


def test_nothing_is_removed_once_the_lock_is_lost(
    sharing: Registry, files: FileServer, url: str, postgres: Cluster, delta: Make
) -> None:
    first = replaced(sharing, files, delta)
    again: list[Registration] = []

    def lost(handler: Handler) -> None:
        if first in handler.path:
            files.special.clear()
            held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            postgres.execute(f"SELECT pg_terminate_backend(pid) FROM ({held}) AS held")
            # Somebody has the same delta again, as may be while nobody holds the lock.
            again.append(sharing.put(shared("again"), delta(1))[0])
            age(files, first)
        handler._list("bucket", f"deltas/{first}" if again else "deltas/")

    files.special["/bucket"] = lost
    with pytest.raises(RegistryUnavailable):
        collect(url)
    assert again
    assert first in digests(files)


def test_what_is_imported_is_in_the_bucket_for_all_servers(
    sharing: Registry, files: FileServer, url: str, delta: Make, base: BaseSpec, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with closing(Registry(Store(tmp_path / "own"), base)) as own:
        digest = own.put(shared("brought"), delta(3))[0].active.ref.digest
    archive = str(tmp_path / "all.tar")
    monkeypatch.delenv("POLYDELTA_REGISTRY", raising=False)
    brought = ["import", archive, "--registry", url, "--store", str(tmp_path / "none")]
    for command in (
        ["export", archive, "--store", str(tmp_path / "own")],
        [*brought, "--blobs", WHERE],
    ):
        monkeypatch.setattr(sys, "argv", ["polydelta", "store", *command])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    assert digest in digests(files)
    # Whoever imports it again has what is missing put there.
    for path in [path for path in files.files if digest in path]:
        del files.files[path]
    with suppress(SystemExit):
        main()
    assert digest in digests(files)
    sharing.look()
    ref = sharing.get(shared("brought")).active.ref
    coming = sharing.coming(ref)
    if coming is not None:
        coming.result(30)
    assert number_of(sharing.load(ref)) == 3


def test_the_command(
    sharing: Registry, files: FileServer, url: str, delta: Make,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = replaced(sharing, files, delta)
    monkeypatch.delenv("POLYDELTA_REGISTRY", raising=False)
    where = ["--registry", url, "--store", "/nowhere"]
    for extra, said in (
        ([], "needs the --registry"),
        ([*where, "--dry-run"], "1 of 2 blobs would be removed"),
        (where, "1 of 2 blobs removed"),
    ):
        monkeypatch.setattr(sys, "argv", ["polydelta", "store", "gc", "--blobs", WHERE, *extra])
        with suppress(SystemExit):
            main()
        assert said in " ".join(capsys.readouterr().err.split())
    assert first not in digests(files)

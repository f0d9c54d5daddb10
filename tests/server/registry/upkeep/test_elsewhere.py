"""Looking after a store whose registry is in PostgreSQL, as after one that has its own."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InvalidSettings
from server.registry.catalogue.opening import open_database
from server.registry.layout import CLAIM, DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from server.registry.upkeep.check import Report, check
from server.registry.upkeep.exporting import export
from server.registry.upkeep.garbage import collect
from server.registry.upkeep.importing import Imported, import_archive
from tests.postgres import Cluster
from tests.server.cli.conftest import Polydelta, polydelta
from tests.server.registry.prompts import number_of

__all__ = ["polydelta"]

Make = Callable[[int], Path]
SPAM = shared("spam")


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def server(base: BaseSpec, delta: Make, root: Path, url: str) -> Iterator[Registry]:
    """A running one, with two versions of a task."""
    with closing(Registry(Store(root), base, database=open_database(url, root))) as registry:
        for number in (1, 2):
            registry.put(SPAM, delta(number))
        registry.settle()
        yield registry


def begin(_: int) -> Callable[[], None]:
    return lambda: None


def look(root: Path, url: str | None) -> Report:
    return check(root, begin, url=url)


def read(root: Path, archive: Path, url: str | None) -> Imported:
    return import_archive(root, archive, begin, quota=1 << 30, url=url)


def blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").iterdir()}


def test_a_store_is_checked_against_the_registry(server: Registry, root: Path, url: str) -> None:
    report = look(root, url)
    assert (report.tasks, report.versions, report.blobs, report.findings) == (1, 2, 2, ())
    (root / "blobs" / ("0" * 64)).mkdir()
    digest = server.get(SPAM).active.ref.digest
    shutil.rmtree(root / "blobs" / digest)
    found = {each.where: each for each in look(root, url).findings}
    assert found.keys() == {"0" * 64, digest}
    assert found[digest].fault == "is gone: spam@2"
    assert "--blobs" in found[digest].advice


def test_garbage_goes_and_versions_by_rules(server: Registry, root: Path, url: str) -> None:
    (root / "blobs" / ("0" * 64)).mkdir()
    before = blobs(root)
    assert collect(root, pretend=True, url=url).blobs == 1
    assert blobs(root) == before
    assert collect(root, url=url).blobs == 1
    freed = collect(root, Retention(versions=1), url=url)
    assert (freed.tasks, freed.blobs) == (1, 1)
    server.look()
    (left,) = server.get(SPAM).versions
    assert blobs(root) == {left.ref.digest}


def test_tasks_go_from_one_registry_to_another_and_to_a_file(
    server: Registry, base: BaseSpec, root: Path, url: str, postgres: Cluster, tmp_path: Path
) -> None:
    archive, other = tmp_path / "all.tar", postgres.database()
    assert export(root, archive, (), begin, url=url).versions == 2
    for place, where in ((tmp_path / "elsewhere", other), (tmp_path / "own", None)):
        (told,) = read(place, archive, where).tasks
        assert (told.task, told.result) == ("spam", "imported")
        assert look(place, where).findings == ()
        database = open_database(where, place)
        with closing(Registry(Store(place), base, database=database)) as registry:
            assert registry.versions.of(SPAM) == server.versions.of(SPAM)
            assert number_of(registry.load(registry.get(SPAM).active.ref)) == 2
        again = tmp_path / f"{place.name}.tar"
        export(place, again, (), begin, url=where)
        assert again.read_bytes() == archive.read_bytes()


def test_another_server_follows_what_is_imported(
    server: Registry, base: BaseSpec, delta: Make, root: Path, url: str, tmp_path: Path
) -> None:
    archive = tmp_path / "all.tar"
    export(root, archive, (), begin, url=url)
    server.remove(SPAM, forever=True)
    assert [each.result for each in read(root, archive, url).tasks] == ["imported"]
    server.look()
    assert number_of(server.load(server.get(SPAM).active.ref)) == 2


def test_a_store_of_another_registry_is_refused_and_left_as_it_is(
    server: Registry, root: Path, url: str, postgres: Cluster, tmp_path: Path
) -> None:
    archive = tmp_path / "all.tar"
    export(root, archive, (), begin, url=url)
    read(tmp_path / "other", archive, None)
    (tmp_path / "other" / DATABASE).rename(tmp_path / DATABASE)
    wrong = postgres.database()
    for place, where, why in (
        (root, wrong, "another registry's tasks"),
        (root, None, "in a registry in PostgreSQL"),
        (tmp_path / "other", wrong, "another registry's tasks"),
    ):
        before = blobs(place), (place / CLAIM).read_text()
        with pytest.raises(InvalidSettings, match=why):
            look(place, where)
        for pretend in (True, False):
            with pytest.raises(InvalidSettings, match=why):
                collect(place, pretend=pretend, url=where)
        with pytest.raises(InvalidSettings, match=why):
            export(place, tmp_path / "no.tar", (), begin, url=where)
        with pytest.raises(InvalidSettings, match=why):
            read(place, archive, where)
        assert (blobs(place), (place / CLAIM).read_text()) == before
        assert not (tmp_path / "no.tar").exists()
        # A store that does not say whose it is may be anybody's.
        (place / CLAIM).unlink()
        if where is not None:
            with pytest.raises(InvalidSettings, match="another registry's tasks"):
                collect(place, url=where)
            assert blobs(place) == before[0]
        (place / CLAIM).write_text(before[1])


def test_a_file_in_the_place_of_a_store_s_own_gets_no_tasks(
    server: Registry, root: Path, url: str, tmp_path: Path
) -> None:
    archive, first, second = tmp_path / "all.tar", tmp_path / "first", tmp_path / "second"
    export(root, archive, (), begin, url=url)
    for place in (first, second):
        read(place, archive, None)
    (first / DATABASE).replace(second / DATABASE)
    before = (second / DATABASE).read_bytes()
    with pytest.raises(InvalidSettings, match="another registry's tasks"):
        read(second, archive, None)
    assert (second / DATABASE).read_bytes() == before


def test_the_commands(
    server: Registry, root: Path, url: str, postgres: Cluster, tmp_path: Path, polydelta: Polydelta
) -> None:
    archive, new = str(tmp_path / "all.tar"), tmp_path / "new"
    here = ("--store", str(root), "--registry", url)
    there = ("--store", str(new), "--registry", postgres.database())
    checked = polydelta("store", "check", *here)
    assert (checked.code, "1 tasks, 2 versions, 2 blobs" in checked.err) == (0, True)
    assert polydelta("store", "export", archive, *here).code == 0
    told = json.loads(polydelta("store", "import", archive, *there, "-o", "json").out)
    assert [(each["task"], each["result"]) for each in told["tasks"]] == [("spam", "imported")]
    assert "1 blobs" in polydelta("store", "gc", *there, "--keep-versions", "1").err
    assert polydelta("store", "check", *there).code == 0
    refused = polydelta("store", "check", "--store", str(root))
    assert (refused.code, "--registry" in refused.err) == (1, True)

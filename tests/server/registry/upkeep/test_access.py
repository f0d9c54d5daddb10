"""Keys, limits and signatures go with an archive: whoever was let in before is afterwards."""

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from deltas.base import BaseSpec
from deltas.formats.dialect import SIGNATURE
from server.errors import InvalidArchive
from server.registry.catalogue.database import Database
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.opening import open_database
from server.registry.catalogue.tables import KEYS, TENANTS
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import Scope, new_key
from server.registry.layout import KEYED
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.signatures import Signatures
from server.registry.store import Store
from server.registry.tenant import Tenant
from server.registry.upkeep.check import check
from server.registry.upkeep.exporting import Exported, export
from server.registry.upkeep.importing import import_archive
from server.registry.upkeep.manifest import read_manifest
from tests.postgres import Cluster
from tests.server.registry.prompts import write_prompt
from tests.signing import Pair

Make = Callable[[int], Path]
ACME = Tenant("acme", requests_per_minute=60, gigabytes=0.5, weight=3)


def begin(_: int) -> Callable[[], None]:
    return lambda: None


def write(root: Path, archive: Path, *names: str, url: str | None = None) -> Exported:
    return export(root, archive, names, begin, url=url)


def read(root: Path, archive: Path, url: str | None = None, **how: bool) -> dict[str, str]:
    imported = import_archive(root, archive, begin, quota=1 << 30, url=url, **how)
    assert imported.refused == any(each.result == "refused" for each in imported.access)
    return {each.name: each.result for each in imported.access}


@pytest.fixture
def root(base: BaseSpec, tmp_path: Path) -> Path:
    """A store with a task."""
    with closing(Registry(Store(tmp_path / "store"), base)) as registry:
        registry.put(shared("spam"), write_prompt(tmp_path / "delta", base, 1))
    return tmp_path / "store"


@pytest.fixture
def here(root: Path) -> Iterator[Database]:
    with closing(open_database(None, root)) as database:
        yield database


@pytest.fixture
def texts(here: Database) -> dict[str, str]:
    """What the holders of keys send: of a good one, and one that was revoked."""
    texts = dict[str, str]()
    for name, scopes in (("deploy", [*Scope]), ("lost", [Scope.READ])):
        key, texts[name] = new_key(name, "acme", scopes, days=1)
        Keys(here).add(key)
    Keys(here).revoke("lost")
    Tenants(here).change("acme", lambda _: ACME)
    return texts


@pytest.mark.parametrize("elsewhere", [False, True], ids=["file", "postgresql"])
def test_whoever_was_let_in_is_afterwards(
    here: Database,
    texts: dict[str, str],
    root: Path,
    tmp_path: Path,
    postgres: Cluster,
    *,
    elsewhere: bool,
) -> None:
    archive, new = tmp_path / "all.tar", tmp_path / "new"
    url = postgres.database() if elsewhere else None
    told = write(root, archive)
    assert (told.keys, told.tenants) == (2, 1)
    assert not any(text.encode() in archive.read_bytes() for text in texts.values())
    assert read(new, archive, url) == dict.fromkeys(("deploy", "lost", "acme"), "imported")
    assert read(new, archive, url) == dict.fromkeys(("deploy", "lost", "acme"), "unchanged")
    with closing(open_database(url, new)) as there:
        ring = Keys(there).ring()
        assert Keys(there).all() == Keys(here).all()
        assert Tenants(there).all() == [ACME]
    assert ring.find(texts["deploy"]) is not None
    assert ring.find(texts["lost"]) is None
    assert (new / KEYED).exists() is not elsewhere
    write(new, tmp_path / "again.tar", url=url)
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_some_tasks_go_without_keys_and_nobody_s_need_be_taken(
    texts: dict[str, str], root: Path, tmp_path: Path
) -> None:
    archive, new = tmp_path / "some.tar", tmp_path / "new"
    assert write(root, archive, "spam").keys == 0
    assert read(new, archive) == {}
    write(root, archive)
    assert read(new, archive, access=False) == {}
    assert not (new / KEYED).exists()


def test_other_keys_and_limits_stay_unless_they_are_to_be_replaced(
    here: Database, texts: dict[str, str], root: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "all.tar"
    write(root, archive)
    Keys(here).revoke("deploy")
    Tenants(here).change("acme", lambda _: Tenant("acme", tasks=1))
    assert read(root, archive) == {"deploy": "refused", "lost": "unchanged", "acme": "refused"}
    assert read(root, archive, replace=True) == {
        "deploy": "refused", "lost": "unchanged", "acme": "replaced",
    }  # fmt: skip
    # What was revoked since the archive was made opens nothing again.
    assert Keys(here).ring().find(texts["deploy"]) is None
    assert Tenants(here).all() == [ACME]


def test_another_key_of_a_name_is_replaced_and_one_of_two_names_refused(
    here: Database, texts: dict[str, str], root: Path, tmp_path: Path
) -> None:
    archive, new = tmp_path / "all.tar", tmp_path / "new"
    write(root, archive)
    (deploy, _), _ = Keys(here).all()
    with closing(open_database(None, new)) as there:
        Keys(there).add(new_key("deploy", "other", [Scope.READ])[0])
        twin = new_key("twin", "other", [Scope.READ])[0]
        (_, lost), _ = Keys(here).all()
        Keys(there).add(type(twin)("twin", "other", twin.scopes, lost.digest, twin.created))
    assert read(new, archive)["deploy"] == "refused"
    result = read(new, archive, replace=True)
    assert (result["deploy"], result["lost"]) == ("replaced", "refused")
    with closing(open_database(None, new)) as there:
        assert deploy in Keys(there).all()[0]


def test_damaged_ones_are_named_and_left_out(
    here: Database, texts: dict[str, str], root: Path, tmp_path: Path
) -> None:
    with here.transaction() as connection:
        connection.execute(update(KEYS).filter_by(name="deploy").values(tenant="other"))
        connection.execute(update(TENANTS).values(about="{}"))
    told = write(root, tmp_path / "all.tar")
    assert (told.keys, told.tenants) == (1, 0)
    assert told.left_out == ("key deploy", "tenant acme")
    found = [(each.about, each.where) for each in check(root, begin).findings]
    assert found == [("key", "deploy"), ("tenant", "acme")]


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a key twice": lambda m: m["keys"].append(m["keys"][0]),
    "a digest that is none": lambda m: m["keys"][0].update(digest="x"),
    "a name of somebody else": lambda m: m["keys"][0].update(name="operator"),
    "a name that is a path": lambda m: m["keys"][0].update(name="../x"),
    "an unknown scope": lambda m: m["keys"][0].update(scopes=["root"]),
    "no scope": lambda m: m["keys"][0].update(scopes=[]),
    "a tenant that is a path": lambda m: m["keys"][0].update(tenant="../x"),
    "a tenant twice": lambda m: m["tenants"].append(m["tenants"][0]),
    "the shared tenant's limits": lambda m: m["tenants"][0].update(name=""),
    "no weight": lambda m: m["tenants"][0].update(weight=0),
    "a limit below 0": lambda m: m["tenants"][0].update(tasks=-1),
    "an unknown limit": lambda m: m["tenants"][0].update(more=1),
}


def test_what_is_no_key_or_limit_is_refused(
    texts: dict[str, str], root: Path, tmp_path: Path
) -> None:
    write(root, tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as opened:
        file = opened.extractfile("manifest.json")
        assert file is not None
        data = file.read()
    read_manifest(data)
    for change in HOSTILE.values():
        manifest = json.loads(data)
        change(manifest)
        with pytest.raises(InvalidArchive):
            read_manifest(json.dumps(manifest).encode())


def test_a_signed_delta_is_signed_afterwards(
    root: Path, base: BaseSpec, delta: Make, tmp_path: Path
) -> None:
    pair, archive, new = Pair.make(tmp_path), tmp_path / "all.tar", tmp_path / "new"
    signed = pair.sign(delta(2))
    with closing(Registry(Store(root), base)) as registry:
        registry.put(shared("signed"), signed)
    write(root, archive, "signed")
    read(new, archive)
    (blob,) = (new / "blobs").iterdir()
    assert (blob / SIGNATURE).read_bytes() == (signed / SIGNATURE).read_bytes()
    Signatures(pair.public).check(blob)
    assert check(new, begin, Signatures(pair.public)).findings == ()

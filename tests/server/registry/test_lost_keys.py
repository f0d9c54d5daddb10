"""Lost keys: a server that had some stays closed, whatever becomes of its database."""

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from deltas.base import BaseSpec
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tables import KEYS
from server.registry.keys import Scope, new_key
from server.registry.layout import DATABASE, KEYED
from server.registry.registry import Registry
from server.registry.store import Store


def add_key(root: Path, name: str) -> str:
    key, text = new_key(name, "", [Scope.ADMIN])
    with closing(Sqlite(root / DATABASE)) as database:
        Keys(database).add(key)
    return text


def remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def spoil(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    with closing(Sqlite(path)) as database, database.transaction() as connection:
        connection.execute(delete(KEYS))


@pytest.mark.parametrize("lose", [remove, spoil, empty])
def test_a_server_whose_keys_are_lost_stays_closed(
    base: BaseSpec,
    tmp_path: Path,
    lose: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = tmp_path / "store"
    with closing(Registry(Store(root), base)) as registry:
        assert not registry.access.keys.required
        add_key(root, "first")
        registry.look()
        assert registry.access.keys.required
    lose(root / DATABASE)
    with (
        caplog.at_level(logging.ERROR),
        closing(Registry(Store(root), base)) as registry,
    ):
        assert registry.access.keys.required
        assert "polydelta key add" in caplog.text
        text = add_key(root, "second")
        registry.look()
        assert registry.access.keys.find(text) is not None
    # An operator may say that none are needed any more.
    lose(root / DATABASE)
    (root / KEYED).unlink()
    with closing(Registry(Store(root), base)) as registry:
        assert not registry.access.keys.required


def test_a_running_server_stays_closed_when_its_database_is_lost(
    base: BaseSpec, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    with closing(Registry(Store(root), base)) as registry:
        add_key(root, "first")
        registry.look()
        remove(root / DATABASE)
        registry.look()
        assert registry.access.keys.required


def test_a_damaged_key_alone_keeps_a_server_closed(base: BaseSpec, tmp_path: Path) -> None:
    root = tmp_path / "store"
    add_key(root, "first")
    with closing(Sqlite(root / DATABASE)) as database, database.transaction() as connection:
        connection.execute(update(KEYS).values(tenant="other"))
    with closing(Registry(Store(root), base)) as registry:
        assert registry.access.keys.required
        with closing(Sqlite(root / DATABASE)) as database:
            assert Keys(database).all() == ([], ["first"])
            Keys(database).revoke("first")
            assert Keys(database).all() == ([], [])
        registry.look()
        assert registry.access.keys.required


def test_keys_are_required_where_the_operator_says_so(base: BaseSpec, tmp_path: Path) -> None:
    with closing(Registry(Store(tmp_path / "store"), base, require_keys=True)) as registry:
        assert registry.access.keys.required

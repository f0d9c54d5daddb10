"""A registry in a real PostgreSQL: who shares it, and what befalls a database."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deltas.base import BaseSpec
from server.errors import InvalidSettings, RegistryUnavailable, TaskNotFound
from server.registry.catalogue import postgres as catalogue
from server.registry.catalogue.claim import ClaimedDatabase
from server.registry.catalogue.opening import open_database
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.postgres import STRANGER, Cluster
from tests.server.api.live import wait_until
from tests.server.registry.prompts import number_of

Make = Callable[[int], Path]
Servers = tuple[Registry, Registry]


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture
def servers(base: BaseSpec, tmp_path: Path, url: str) -> Iterator[Servers]:
    """Two that share a registry and a store; the second follows the first."""
    store = tmp_path / "store"
    first, second = (
        Registry(Store(store), base, database=open_database(url, store)) for _ in range(2)
    )
    second.follow()
    yield first, second
    first.close()
    second.close()


def answers(registry: Registry, name: str) -> int:
    """The number of the version that answers, 0 if there is none."""
    try:
        return registry.get(shared(name)).active.number
    except TaskNotFound:
        return 0


def test_two_servers_changes_of_one_task_come_one_after_another(
    servers: Servers, delta: Make
) -> None:
    sources = [delta(number) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        for number, source in enumerate(sources):
            pool.submit(servers[number % 2].put, shared("spam"), source)
    versions = servers[0].versions.of(shared("spam")).versions
    assert sorted(version.number for version in versions) == [2, 3, 4, 5, 6]
    assert servers[0].versions.of(shared("spam")) == servers[1].versions.of(shared("spam"))


def test_several_servers_may_be_the_first(base: BaseSpec, tmp_path: Path, url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_database(url, tmp_path), range(4)))
        claims = pool.map(lambda each: ClaimedDatabase(each, tmp_path).claim(), opened)
        assert sorted(claims) == [False, False, False, True]
    for database in opened:
        database.close()


def test_who_shares_a_registry_is_told_of_changes(
    servers: Servers, delta: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = servers
    first.put(shared("warm"), delta(0))
    wait_until(lambda: answers(second, "warm") == 1)
    # Nobody looks by itself any more.
    monkeypatch.setattr(catalogue, "_EVERY", 1000.0)
    for number in (1, 2, 3):
        first.put(shared("spam"), delta(number))
        wait_until(lambda number=number: answers(second, "spam") == number)
    first.versions.activate(shared("spam"), "1")
    wait_until(lambda: answers(second, "spam") == 1)
    monkeypatch.undo()
    first.remove(shared("spam"))
    wait_until(lambda: answers(second, "spam") == 0)


def test_without_its_database_a_server_serves_what_it_has(
    servers: Servers, delta: Make, postgres: Cluster
) -> None:
    first, second = servers
    first.put(shared("spam"), delta(1))
    wait_until(lambda: answers(second, "spam") == 1)
    source = delta(2)
    postgres.stop()
    try:
        for server in servers:
            lease = server.lease(shared("spam"))
            assert number_of(server.load(lease.version.ref)) == 1
            lease.release()
            for change in (
                lambda server=server: server.put(shared("spam"), source),
                lambda server=server: server.versions.activate(shared("spam"), "1"),
                lambda server=server: server.remove(shared("spam")),
            ):
                with pytest.raises(RegistryUnavailable, match="nothing can be changed until"):
                    change()
            assert answers(server, "spam") == 1
    finally:
        postgres.start()
    first.put(shared("spam"), source)
    wait_until(lambda: answers(second, "spam") == 2)


def test_no_password_is_told(
    postgres: Cluster,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    database = url.split("/")[3].split("?")[0]
    postgres.execute(f"CREATE ROLE {STRANGER} LOGIN SUPERUSER PASSWORD 'right'")
    named = postgres.url(database, STRANGER)
    wrong = named.replace(f"{STRANGER}@", f"{STRANGER}:hunter2@")
    for bad in (wrong, wrong + "&port=hunter2", wrong + "&hunter2=1", wrong.replace("@", "@[")):
        with pytest.raises(InvalidSettings) as refused:
            open_database(bad, tmp_path)
        assert "hunter2" not in str(refused.value)
    assert "password authentication failed" in caplog.text
    assert "stranger:" not in caplog.text
    with pytest.raises(InvalidSettings):
        open_database(named, tmp_path)
    open_database(named.replace("@", ":right@"), tmp_path).close()
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:*:*:{STRANGER}:right\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    open_database(named, tmp_path).close()
    monkeypatch.delenv("PGPASSFILE")
    monkeypatch.setenv("PGPASSWORD", "right")
    open_database(named, tmp_path).close()


def test_a_store_with_a_registry_of_its_own_is_left_alone(
    base: BaseSpec, delta: Make, tmp_path: Path, url: str
) -> None:
    store = tmp_path / "store"
    registry = Registry(Store(store), base)
    version = registry.put(shared("spam"), delta(1))[0].active
    registry.close()
    with pytest.raises(InvalidSettings, match="Name another directory"):
        open_database(url, store)
    assert (store / "blobs" / version.ref.digest).is_dir()
    assert (store / DATABASE).is_file()

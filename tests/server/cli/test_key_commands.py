"""The commands on keys, beside a server that runs."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import update

from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tables import KEYS
from server.registry.layout import DATABASE
from tests.server.api.live import wait_until
from tests.server.cli.conftest import Polydelta
from tests.server.served import served


@pytest.fixture(scope="module")
def keyed(
    decoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, httpx2.Client]]:
    store = tmp_path_factory.mktemp("keyed") / "store"
    with served(decoder, store, require_keys=True) as (_, http):
        yield store, http


def status(http: httpx2.Client, key: str = "") -> int:
    return http.get("/v1/models", headers={"x-api-key": key} if key else {}).status_code


def rows(polydelta: Polydelta, *where: str) -> dict[str, dict[str, object]]:
    listed = json.loads(polydelta("key", "ls", *where, "-o", "json").out)
    return {each["name"]: each for each in listed}


def test_a_server_that_requires_keys_serves_nobody_before_the_first(
    keyed: tuple[Path, httpx2.Client],
) -> None:
    assert status(keyed[1]) == 401
    assert keyed[1].get("/health/ready").status_code == 200


def test_a_running_server_follows_what_is_added_and_revoked(
    polydelta: Polydelta, keyed: tuple[Path, httpx2.Client]
) -> None:
    store, http = keyed
    where = ("--store", str(store))
    added = polydelta("key", "add", "app", "--tenant", "acme", "--scopes", "infer,read", *where)
    key = added.out.strip()
    wait_until(lambda: status(http, key) == 200)
    assert "shown this once" in added.err
    shown = rows(polydelta, *where)["app"]
    assert (shown["tenant"], shown["scopes"], shown["good"]) == ("acme", ["infer", "read"], True)
    listed = polydelta("key", "ls", *where).out
    assert "acme" in listed
    assert key not in listed
    again = polydelta("key", "add", "app", *where)
    assert (again.code, "revoke it first" in again.err) == (1, True)
    assert polydelta("key", "revoke", "app", *where).code == 0
    wait_until(lambda: status(http, key) == 401)
    assert rows(polydelta, *where)["app"]["good"] is False
    missing = polydelta("key", "revoke", "nobody", *where)
    assert (missing.code, "polydelta key ls" in missing.err) == (1, True)


def test_a_key_is_good_for_its_days(
    polydelta: Polydelta, keyed: tuple[Path, httpx2.Client]
) -> None:
    store, http = keyed
    where = ("--store", str(store))
    key = polydelta("key", "add", "visitor", "--days", "0.5", *where).out.strip()
    wait_until(lambda: status(http, key) == 200)
    with closing(Sqlite(store / DATABASE)) as database:
        keys = Keys(database)
        (kept,) = (each for each in keys.all()[0] if each.name == "visitor")
        assert kept.expires == pytest.approx(kept.created + 43_200)
        # Half a day has nearly passed.
        keys.put(replace(kept, expires=time.time() + 2), replace=True)
    wait_until(lambda: status(http, key) == 401)
    assert rows(polydelta, *where)["visitor"]["good"] is False


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "1e8", "36500.1"])
def test_a_key_is_good_for_no_days_that_are_none(
    polydelta: Polydelta, keyed: tuple[Path, httpx2.Client], days: str
) -> None:
    where = ("--store", str(keyed[0]))
    refused = polydelta("key", "add", "eternal", "--days", days, *where)
    assert (refused.code, "at most 36500" in refused.err) == (1, True)
    assert "eternal" not in rows(polydelta, *where)


@pytest.mark.parametrize("scopes", ["infr", "read,", "read write"])
def test_a_scope_that_is_none_is_told_with_its_flag(
    polydelta: Polydelta, tmp_path: Path, scopes: str
) -> None:
    refused = polydelta("key", "add", "app", "--scopes", scopes, "--store", str(tmp_path / "none"))
    assert refused.code == 2
    assert "'--scopes'" in refused.err
    assert "infer, read, write, admin" in refused.err


def test_a_damaged_key_is_shown_opens_nothing_and_is_taken_out(
    polydelta: Polydelta, keyed: tuple[Path, httpx2.Client]
) -> None:
    store, http = keyed
    where = ("--store", str(store))
    key = polydelta("key", "add", "spoiled", *where).out.strip()
    wait_until(lambda: status(http, key) == 200)
    with closing(Sqlite(store / DATABASE)) as database, database.transaction() as connection:
        connection.execute(update(KEYS).filter_by(name="spoiled").values(scopes='["admin"]'))
    assert rows(polydelta, *where)["spoiled"]["damaged"] is True
    assert "damaged" in polydelta("key", "ls", *where).out
    refused = polydelta("key", "add", "spoiled", *where)
    assert (refused.code, "polydelta key revoke spoiled" in refused.err) == (1, True)
    # Any change has the server read all keys.
    other = polydelta("key", "add", "other", *where).out.strip()
    wait_until(lambda: status(http, other) == 200)
    assert status(http, key) == 401
    assert polydelta("key", "revoke", "spoiled", *where).code == 0
    assert "spoiled" not in rows(polydelta, *where)
    again = polydelta("key", "add", "spoiled", *where).out.strip()
    wait_until(lambda: status(http, again) == 200)

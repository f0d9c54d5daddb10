"""Keys, limits and the audit log in PostgreSQL: every server of the registry holds to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.base import BaseSpec
from tests.postgres import Cluster
from tests.server.api.live import wait_until
from tests.server.cli.conftest import Polydelta
from tests.server.registry.prompts import write_prompt
from tests.server.served import served

Servers = tuple[httpx2.Client, httpx2.Client]
COMPLETE = "/v1/completions"
ASKED = {"model": "base", "prompt": [7, 8, 9], "max_tokens": 1}


@pytest.fixture(scope="module")
def registry(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture(scope="module")
def deltas(spec: BaseSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deltas")
    for number in (1, 2):
        write_prompt(folder / f"{number}", spec, number)
    return folder


@pytest.fixture(scope="module")
def servers(
    decoder: Path, registry: str, deltas: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Two, each with a store of its own."""
    stores = tmp_path_factory.mktemp("stores")
    settings: dict[str, Any] = {"registry": registry, "source_roots": [deltas]}
    with (
        served(decoder, stores / "first", **settings) as (_, first),
        served(decoder, stores / "second", **settings) as (_, second),
    ):
        yield first, second


def ask(server: httpx2.Client, key: str, method: str, path: str, **options: Any) -> httpx2.Response:
    headers = {"x-api-key": key} if key else {}
    return server.request(method, path, headers=headers, **options)


def until(servers: Servers, key: str, status: int) -> None:
    for server in servers:
        wait_until(lambda server=server: ask(server, key, "GET", "/version").status_code == status)


def test_every_server_holds_to_keys_limits_and_tells_the_same_log(
    servers: Servers, registry: str, deltas: Path, tmp_path: Path, polydelta: Polydelta
) -> None:
    first, second = servers
    where = ("--registry", registry, "--store", str(tmp_path / "none"))
    until(servers, "", 200)
    chief = polydelta("key", "add", "chief", "--scopes", "admin", *where).out.strip()
    app = polydelta("key", "add", "app", "--tenant", "acme", "--scopes", "admin", *where)
    key = app.out.strip()
    for each in (chief, key):
        until(servers, each, 200)
    until(servers, "", 401)

    limits = ("--tasks", "1", "--requests-per-minute", "2")
    assert polydelta("tenant", "set", "acme", *limits, *where).code == 0
    (shown,) = json.loads(polydelta("tenant", "ls", *where, "-o", "json").out)
    assert (shown["name"], shown["tasks"], shown["requests_per_minute"]) == ("acme", 1, 2)
    sources = [{"source": str(deltas / f"{number}")} for number in (1, 2)]
    assert ask(first, key, "PUT", "/v1/tasks/spam", json=sources[0]).status_code == 201
    # The other server counts what the first one took.
    refused = ask(second, key, "PUT", "/v1/tasks/ham", json=sources[1])
    assert (refused.status_code, "may" in refused.text) == (507, True)
    assert ask(second, chief, "PUT", "/v1/tasks/ham", json=sources[1]).status_code == 201
    for server in servers:
        wait_until(
            lambda server=server: ask(server, key, "POST", COMPLETE, json=ASKED).status_code == 429
        )
        assert ask(server, chief, "POST", COMPLETE, json=ASKED).status_code == 200

    log = json.loads(polydelta("audit", *where, "-o", "json").out)
    told = [(each["who"], each["kind"], each["tenant"], each["outcome"]) for each in log]
    assert told[::-1] == [
        ("operator", "add_key", "", "done"),
        ("operator", "add_key", "acme", "done"),
        ("operator", "set_limits", "acme", "done"),
        ("app", "put", "acme", "done"),
        ("chief", "put", "", "done"),
    ]
    for server in servers:
        assert ask(server, chief, "GET", "/v1/audit").json()["entries"] == log
        own = ask(server, key, "GET", "/v1/audit").json()["entries"]
        assert own == [each for each in log if each["tenant"] == "acme"]

    assert polydelta("key", "revoke", "app", *where).code == 0
    until(servers, key, 401)
    listed = json.loads(polydelta("key", "ls", *where, "-o", "json").out)
    assert {each["name"]: each["good"] for each in listed} == {"chief": True, "app": False}

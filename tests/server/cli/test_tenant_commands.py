"""Tenants' limits: a running server takes them up, holds one tenant to them and no other."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from deltas.base import BaseSpec
from server.api.rates import RATE_HEADERS
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.keys import Scope, new_key
from server.registry.layout import DATABASE
from tests.server.api.live import wait_until
from tests.server.cli.conftest import Polydelta
from tests.server.registry.prompts import write_prompt
from tests.server.served import served, url_of

ASKED = {"model": "base", "prompt": [7, 8, 9, 10], "max_tokens": 4, "ignore_eos": True}
TENANTS = ("few-requests", "few-tokens", "few-tasks", "other")


class Server:
    """A server that wants keys, with one for each tenant."""

    def __init__(self, http: httpx2.Client, store: Path, deltas: Path) -> None:
        self.http = http
        self.store = store
        self.deltas = deltas
        self.keys = dict[str, str]()
        database = Sqlite(store / DATABASE)
        for tenant in TENANTS:
            key, self.keys[tenant] = new_key(tenant, tenant, [Scope.ADMIN])
            Keys(database).add(key)
        database.close()
        wait_until(lambda: self.ask("GET", "/v1/models", TENANTS[-1]).status_code == 200)
        wait_until(lambda: http.get("/v1/models").status_code == 401)

    def ask(self, method: str, path: str, tenant: str, **options: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        return self.http.request(method, path, headers=headers, **options)

    def complete(self, tenant: str) -> httpx2.Response:
        return self.ask("POST", "/v1/completions", tenant, json=ASKED)

    def put(self, tenant: str, name: str, number: int) -> httpx2.Response:
        source = {"source": str(self.deltas / f"{number}")}
        return self.ask("PUT", f"/v1/tasks/{name}", tenant, json=source)


@pytest.fixture(scope="module")
def server(
    decoder: Path, spec: BaseSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limits")
    for number in range(3):
        write_prompt(folder / "deltas" / f"{number}", spec, number)
    with served(decoder, folder / "store", source_roots=[folder / "deltas"]) as (_, http):
        yield Server(http, folder / "store", folder / "deltas")


@pytest.fixture
def tenant(polydelta: Polydelta, server: Server, monkeypatch: pytest.MonkeyPatch) -> Polydelta:
    """Run `polydelta tenant ARGUMENTS`."""
    monkeypatch.setenv("POLYDELTA_STORE", str(server.store))
    return lambda *arguments: polydelta("tenant", *arguments)


def told(answer: httpx2.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in RATE_HEADERS if name in answer.headers}


def check_refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answer.headers["retry-after"]) >= 1


def test_requests_beyond_the_limit_wait(server: Server, tenant: Polydelta) -> None:
    name = "few-requests"
    assert told(server.complete(name)) == {}
    assert tenant("set", name, "--requests-per-minute", "3").code == 0
    wait_until(lambda: told(server.ask("POST", "/tokenize", name, json={})) != {})
    # A list of tasks or models is no answer of a task, and tells of no limit.
    assert told(server.ask("GET", "/v1/models", name)) == {}
    left = int(told(server.complete(name))["x-ratelimit-remaining-requests"])
    taken = 0
    # One comes back every twenty seconds.
    while (refused := server.complete(name)).status_code == 200:
        taken += 1
    assert taken >= left
    check_refused(refused)
    limits = told(refused)
    assert limits["x-ratelimit-limit-requests"] == "3"
    assert limits["x-ratelimit-remaining-requests"] == "0"
    assert re.fullmatch(r"[0-9.]+s|1m0s", limits["x-ratelimit-reset-requests"])
    assert "x-ratelimit-limit-tokens" not in limits
    with (
        openai.OpenAI(
            base_url=f"{url_of(server.http)}/v1", api_key=server.keys[name], max_retries=0
        ) as client,
        pytest.raises(openai.RateLimitError) as met,
    ):
        client.completions.create(model="base", prompt="a", max_tokens=1)
    assert met.value.code == "rate_limit_exceeded"
    other = server.complete("other")
    assert (other.status_code, told(other)) == (200, {})
    # More a minute comes back sooner, and what was used stays so.
    tenant("set", name, "--requests-per-minute", "60")
    wait_until(lambda: server.complete(name).status_code == 200)
    while (refused := server.complete(name)).status_code == 200:
        pass
    check_refused(refused)
    time.sleep(int(refused.headers["retry-after-ms"]) / 1e3)
    assert server.complete(name).status_code == 200
    tenant("set", name, "--requests-per-minute", "0")
    wait_until(lambda: told(server.complete(name)) == {})


def test_tokens_count_once_an_answer_ends(server: Server, tenant: Polydelta) -> None:
    name = "few-tokens"
    assert tenant("set", name, "--tokens-per-minute", "20").code == 0
    wait_until(lambda: told(server.ask("POST", "/tokenize", name, json={})) != {})
    first = server.complete(name)
    usage = first.json()["usage"]
    assert usage["total_tokens"] == 8
    assert told(first)["x-ratelimit-limit-tokens"] == "20"
    assert 12 <= int(told(first)["x-ratelimit-remaining-tokens"]) <= 13
    streamed = server.ask("POST", "/v1/completions", name, json={**ASKED, "stream": True})
    assert streamed.status_code == 200
    # Its headers may come before its tokens are known, the next answer's come after.
    wait_until(lambda: int(told(server.complete(name))["x-ratelimit-remaining-tokens"]) == 0)
    check_refused(server.complete(name))
    assert server.complete("other").status_code == 200


def test_tasks_and_bytes_have_quotas(server: Server, tenant: Polydelta) -> None:
    name = "few-tasks"
    tenant("set", name, "--tasks", "1")
    assert server.put(name, "one", 0).status_code == 201
    full = server.put(name, "two", 1)
    assert full.status_code == 507
    assert full.json()["error"]["code"] == "insufficient_storage"
    assert "--tasks" in full.json()["detail"]
    assert server.put("other", "two", 1).status_code == 201
    # Another version of a task is no other task.
    kept = server.put(name, "one", 1)
    assert kept.status_code == 201
    tenant("set", name, "--tasks", "0", "--gigabytes", "0.0000001")
    full = server.put(name, "one", 2)
    assert full.status_code == 507
    assert "--gigabytes" in full.json()["detail"]
    shown = server.ask("GET", "/v1/tasks/one", name).json()
    assert shown["version"] == kept.json()["version"]
    assert server.put("other", "one", 2).status_code == 201


def test_what_was_set_is_listed(server: Server, tenant: Polydelta) -> None:
    tenant("set", "listed", "--weight", "3", "--gigabytes", "1.5")
    tenant("set", "listed", "--tasks", "4")
    found = {each["name"]: each for each in json.loads(tenant("ls", "-o", "json").out)}
    assert found["listed"] == {
        "name": "listed",
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "tasks": 4,
        "gigabytes": 1.5,
        "weight": 3,
    }
    assert "listed" in tenant("ls").out
    assert tenant("set", "no/name", "--weight", "3").code == 1
    assert tenant("set", "listed").code == 2

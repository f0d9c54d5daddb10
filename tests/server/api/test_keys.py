"""Keys: every route refuses whoever may not ask it, and tenants learn nothing of one another."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from starlette.routing import Route

from server.api.scopes import NEEDS, Place, check_declared
from server.build import open_base
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.keys import Scope, new_key
from server.registry.layout import DATABASE
from server.settings import Settings
from tests.file_server import FileServer, crawling, serving_files
from tests.server.api.live import PATIENCE, wait_until
from tests.server.registry.prompts import write_prompt
from tests.server.served import served

ALL = frozenset(Scope)


class Server:
    """A server's address, its store's keys and a place for deltas."""

    def __init__(self, http: httpx2.Client, base: Path, store: Path, roots: Path) -> None:
        self.http = http
        self.spec = open_base(Settings(base=str(base), device="cpu", dtype="float32")).spec
        self.roots = roots
        self.keys = Keys(Sqlite(store / DATABASE))

    def key(self, name: str, tenant: str = "", *wanted: Scope, expires: float | None = None) -> str:
        """A key that the server knows."""
        made, text = new_key(name, tenant, wanted or (Scope.ADMIN,))
        key = replace(made, expires=expires)
        self.keys.add(key)
        if key.is_good(time.time()):
            self._wait_for(text)
        return text

    def _wait_for(self, key: str) -> None:
        """Wait for the server to know a key, from an address where tries are counted apart."""
        address = httpx2.HTTPTransport(local_address="127.0.2.1")
        headers = {"x-api-key": key}
        with httpx2.Client(
            base_url=self.http.base_url, transport=address, timeout=PATIENCE
        ) as elsewhere:
            wait_until(
                lambda: elsewhere.get("/version", headers=headers).status_code not in (401, 429)
            )

    def ask(self, method: str, path: str, key: str | None, **options: Any) -> httpx2.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.http.request(method, path, headers=headers, **options)

    def put(self, name: str, key: str, number: int = 1) -> httpx2.Response:
        source = write_prompt(self.roots / f"{number}", self.spec, number)
        return self.ask("PUT", f"/v1/tasks/{name}", key, json={"source": str(source)})


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with serving_files() as files:
        yield files


@pytest.fixture(scope="module")
def server(
    decoder: Path, files: FileServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "deltas").mkdir()
    sources: dict[str, Any] = {"sources": [f"{files.url}/*"], "private_sources": True}
    sources["source_roots"] = [folder / "deltas"]
    with served(decoder, folder / "store", **sources) as (_, http):
        assert http.get("/v1/models").status_code == 200
        yield Server(http, decoder, folder / "store", folder / "deltas")


@pytest.fixture(scope="module")
def operator(server: Server) -> str:
    key = server.key("chief")
    wait_until(lambda: server.http.get("/v1/models").status_code == 401)
    return key


def filled(place: Place) -> tuple[str, str]:
    method, path = place
    named = path.replace("{name}", "private").replace("{alias}", "a")
    return method, named.replace("{path:path}", "app.js")


GUARDED = sorted(place for place, need in NEEDS.items() if need.scopes)


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_every_route_refuses_who_may_not_ask(server: Server, operator: str, place: Place) -> None:
    method, path = filled(place)
    need = NEEDS[place]
    bad = [_bad(server, name) for name in ("revoked", "expired")]
    # So many wrong keys would be too many from one address.
    address = httpx2.HTTPTransport(local_address=f"127.0.1.{GUARDED.index(place) + 1}")
    with httpx2.Client(
        base_url=server.http.base_url, transport=address, timeout=PATIENCE
    ) as elsewhere:
        for sent in ("", "pd_" + "x" * 43, operator[:-1], operator + "x", *bad):
            headers = {"authorization": f"Bearer {sent}"} if sent else {}
            refusal = elsewhere.request(method, path, headers=headers)
            assert refusal.status_code == 401
            assert refusal.headers["www-authenticate"] == "Bearer"
            assert refusal.json()["error"]["code"] == "invalid_api_key"
    allowed = {*need.scopes, Scope.ADMIN}
    for scope in ALL - allowed:
        assert server.ask(method, path, _of(server, "", scope)).status_code == 403
    if need.operators:
        assert server.ask(method, path, _of(server, "ours", Scope.ADMIN)).status_code == 403
    else:
        for scope in allowed:
            status = server.ask(method, path, _of(server, "ours", scope)).status_code
            assert status not in (401, 403)


def test_a_key_is_asked_for_before_a_body_is_read(server: Server, operator: str) -> None:
    url = server.http.base_url
    with socket.create_connection((url.host, url.port or 0), PATIENCE) as connection:
        # Its body never comes.
        head = "POST /v1/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(99).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/keys", {"name": "left-behind", "scopes": ["admin"]}),
        ("PATCH", "/v1/tenants/slow", {"tasks": 1}),
    ],
)
def test_an_operators_key_is_asked_for_again_once_the_body_is_there(
    server: Server, operator: str, method: str, path: str, body: dict[str, Any]
) -> None:
    name = f"slow-{method.lower()}"
    text, data, url = server.key(name), json.dumps(body).encode(), server.http.base_url
    with socket.create_connection((url.host, url.port or 0), PATIENCE) as connection:
        lines = (
            f"{method} {path} HTTP/1.1",
            f"host: localhost\r\nx-api-key: {text}\r\nexpect: 100-continue",
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n",
        )
        connection.sendall("\r\n".join(lines).encode())
        # It is wanted only once the key was found good.
        assert connection.recv(99).startswith(b"HTTP/1.1 100")
        assert server.ask("DELETE", f"/v1/keys/{name}", operator).status_code == 204
        connection.sendall(data)
        assert connection.recv(99).startswith(b"HTTP/1.1 401")
    made = {each.name for each in server.keys.all().sound}
    assert "left-behind" not in made
    assert "slow" not in server.ask("GET", "/v1/tenants", operator).text


def test_open_routes_need_no_key(server: Server, operator: str) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert server.ask("GET", path, None).status_code == 200


def test_other_ways_to_send_a_key(server: Server, operator: str) -> None:
    assert server.http.get("/v1/models", headers={"x-api-key": operator}).status_code == 200
    with openai.OpenAI(base_url=f"{server.http.base_url}/v1", api_key=operator) as client:
        assert client.models.list().data[0].id == "base"
    with (
        openai.OpenAI(base_url=f"{server.http.base_url}/v1", api_key="none") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_tenants_task_is_not_there_for_others(server: Server, operator: str) -> None:
    ours, theirs = _of(server, "ours", Scope.ADMIN), _of(server, "theirs", Scope.ADMIN)
    assert server.put("private", ours).status_code == 201
    shown = server.ask("GET", "/v1/tasks/private/versions", ours).json()
    assert shown["versions"][0]["by"] == "ours-admin"
    digest = shown["versions"][0]["digest"]
    for key in (theirs, operator):
        for asked in ("private", "private@1", f"private@{digest}"):
            private = server.ask("POST", "/v1/infer", key, json={"task": asked, "input": "a"})
            absent = server.ask("POST", "/v1/infer", key, json={"task": "nothing", "input": "a"})
            assert private.status_code == absent.status_code == 404
            assert private.json()["detail"] == absent.json()["detail"].replace("nothing", "private")
        for place in NEEDS:
            if "{name}" in place[1] and place != _PUT and not NEEDS[place].operators:
                private, absent = (_told(server, place, key, name) for name in _LIKE)
                assert private[0] == 404, place
                assert private == absent, place
        for path in ("/v1/tasks", "/v1/models"):
            assert "private" not in server.ask("GET", path, key).text
    for tries in ("private", "private@1"):
        answer = server.ask("POST", "/v1/infer", ours, json={"task": tries, "input": "a"})
        assert answer.json()["task"] == "private"
    # A name is of a tenant: the same one is free for others.
    assert server.put("private", theirs, 2).status_code == 201
    assert server.ask("DELETE", "/v1/tasks/private", theirs).status_code == 204
    assert server.ask("GET", "/v1/tasks/private", ours).json()["id"] == "private"


def test_a_tenants_transfers_are_told_to_nobody_else(
    server: Server, files: FileServer, operator: str
) -> None:
    ours, theirs = server.key("fetching", "fetching"), server.key("curious", "curious")
    source = files.put("/fetched", write_prompt(server.roots / "fetched", server.spec, 1))

    def told(key: str) -> list[str]:
        transfers = server.ask("GET", "/v1/transfers", key).json()["transfers"]
        return [each["source"] for each in transfers]

    body = {"source": source}
    with ThreadPoolExecutor(1) as pool:
        with crawling(files, "/fetched/delta.safetensors"):
            putting = pool.submit(server.ask, "PUT", "/v1/tasks/fetched", ours, json=body)
            wait_until(lambda: told(ours) == [source])
            assert told(theirs) == told(operator) == []
        assert putting.result(PATIENCE).status_code == 201


def test_shared_tasks_are_read_by_tenants_and_changed_by_operators(
    server: Server, operator: str
) -> None:
    ours = _of(server, "ours", Scope.ADMIN)
    assert server.put("common", operator, 3).status_code == 201
    assert server.ask("GET", "/v1/tasks/common/versions", ours).status_code == 200
    answer = server.ask("POST", "/v1/infer", ours, json={"task": "common", "input": "a"})
    assert answer.status_code == 200
    assert server.ask("DELETE", "/v1/tasks/common", ours).status_code == 404
    assert server.ask("GET", "/v1/tasks/common", operator).status_code == 200


def test_tenants_share_no_computed_beginnings(server: Server, operator: str) -> None:
    asked = {"model": "base", "prompt": [7, 8, 9, 10] * 10, "max_tokens": 1}

    def reused(key: str) -> int:
        usage = server.ask("POST", "/v1/completions", key, json=asked).json()["usage"]
        return usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)

    ours, theirs = (_of(server, tenant, Scope.INFER) for tenant in ("ours", "theirs"))
    assert reused(ours) == 0
    assert reused(ours) > 0
    assert reused(theirs) == 0
    assert reused(theirs) > 0


def test_too_many_wrong_keys_from_an_address_are_held_off(server: Server, operator: str) -> None:
    statuses = [server.ask("GET", "/v1/models", "wrong").status_code for _ in range(70)]
    assert statuses[-1] == 429
    assert server.ask("GET", "/v1/models", operator).status_code == 200


@pytest.mark.parametrize("ending", ["revoked", "expired"])
def test_a_stream_of_events_ends_with_its_key(server: Server, operator: str, ending: str) -> None:
    del operator
    name = f"listener-{ending}"
    text = server.key(name, "", Scope.READ, expires=time.time() + 3600)
    headers = {"authorization": f"Bearer {text}"}
    with server.http.stream("GET", "/v1/events", headers=headers) as stream:
        lines = (line for line in stream.iter_lines() if line)
        assert next(lines) == "event: snapshot"
        if ending == "revoked":
            server.keys.revoke(name)
        else:
            (key,) = (each for each in server.keys.all()[0] if each.name == name)
            # The server may know of it before it passes, or after.
            server.keys.put(replace(key, expires=time.time() + 2), replace=True)
        *_, last = lines
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_is_soon_good_for_nothing(server: Server, operator: str) -> None:
    key = server.key("leaver")
    server.keys.revoke("leaver")
    wait_until(lambda: server.ask("GET", "/v1/models", key).status_code in (401, 429))


def test_a_route_without_a_declared_scope_starts_no_server() -> None:
    async def forgotten() -> None: ...

    with pytest.raises(ValueError, match="GET /forgotten"):
        check_declared([Route("/forgotten", forgotten)])


_PUT = ("PUT", "/v1/tasks/{name}")
_LIKE = ("private", "nothing")
"""A task of another tenant, and one that is not there."""


def _told(server: Server, place: Place, key: str, name: str) -> tuple[int, str, dict[str, str]]:
    """What is answered about a task, less the task's name and the request's."""
    method, path = filled(place)
    answer = server.ask(method, path.replace("private", name), key, json=_body(path))
    told = dict(answer.headers)
    request = told.pop("x-request-id")
    del told["date"]
    return answer.status_code, answer.text.replace(request, "").replace(name, "NAME"), told


_made: dict[str, str] = {}


def _of(server: Server, tenant: str, scope: Scope) -> str:
    """A key of a tenant with one scope."""
    name = f"{tenant or 'shared'}-{scope}"
    if name not in _made:
        _made[name] = server.key(name, tenant, scope)
    return _made[name]


def _bad(server: Server, name: str) -> str:
    """A key that was revoked, or has expired."""
    if name not in _made:
        expires = time.time() - 1 if name == "expired" else None
        _made[name] = server.key(name, expires=expires)
        if name == "revoked":
            server.keys.revoke(name)
            wait_until(
                lambda: server.ask("GET", "/v1/models", _made[name]).status_code in (401, 429)
            )
    return _made[name]


def _body(path: str) -> dict[str, Any]:
    if path.endswith(("activate", "/a")):
        return {"version": 1}
    return {"1": 1} if path.endswith("traffic") else {"inputs": "a"}

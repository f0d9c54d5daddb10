"""Operators make keys and set limits through a server, which holds to them from that moment on."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from polydelta_client import ConflictError, NotFoundError, PermissionDeniedError, Polydelta
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.keys import Scope, new_key
from server.registry.layout import DATABASE
from tests.server.api.live import PATIENCE, wait_until
from tests.server.cli.conftest import Polydelta as Command
from tests.server.cli.conftest import polydelta
from tests.server.served import served, url_of

__all__ = ["polydelta"]


@pytest.fixture(scope="module")
def http(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A server with one key, an operator's, that its client sends."""
    store = tmp_path_factory.mktemp("operators") / "store"
    with served(decoder, store) as (_, http):
        refused = http.post("/v1/keys", json={"name": "mine", "scopes": ["admin"]})
        assert (refused.status_code, "polydelta key add" in refused.json()["detail"]) == (403, True)
        assert http.patch("/v1/tenants/acme", json={"tasks": 1}).status_code == 403
        assert http.get("/v1/keys").json() == {"keys": []}
        key, text = new_key("chief", "", [Scope.ADMIN])
        with closing(Sqlite(store / DATABASE)) as database:
            Keys(database).add(key)
        http.headers["x-api-key"] = text
        wait_until(lambda: http.get("/v1/keys/self").json()["name"] == "chief")
        yield http


@pytest.fixture
def client(http: httpx2.Client) -> Iterator[Polydelta]:
    with Polydelta(url_of(http), api_key=http.headers["x-api-key"]) as client:
        yield client


def told(http: httpx2.Client, count: int) -> list[tuple[str, ...]]:
    """What the audit log has, the newest first."""
    entries = http.get("/v1/audit", params={"limit": count}).json()["entries"]
    fields = ("who", "kind", "tenant", "about", "outcome")
    return [tuple(each[field] for field in fields) for each in entries]


def status(http: httpx2.Client, key: str) -> int:
    headers = {"x-api-key": key}
    return httpx2.get(f"{url_of(http)}/v1/models", headers=headers, timeout=PATIENCE).status_code


def test_a_key_is_shown_once_good_at_once_and_good_for_nothing_once_revoked(
    http: httpx2.Client,
) -> None:
    body = {"name": "app", "tenant": "acme", "scopes": ["infer"], "days": 2}
    made = http.post("/v1/keys", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    shown = made.json()
    key = shown.pop("key")
    assert (shown["tenant"], shown["scopes"], shown["good"]) == ("acme", ["infer"], True)
    assert shown["expires"] - shown["created"] == pytest.approx(2 * 86_400, abs=60)
    assert status(http, key) == 200
    listed = http.get("/v1/keys")
    assert shown in listed.json()["keys"]
    assert key not in listed.text
    again = http.post("/v1/keys", json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert http.delete("/v1/keys/app").status_code == 204
    assert status(http, key) == 401
    missing = http.delete("/v1/keys/nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "key_not_found")
    assert told(http, 4) == [
        ("chief", "revoke_key", "", "nobody", "key_not_found"),
        ("chief", "revoke_key", "acme", "app", "done"),
        ("chief", "add_key", "acme", "app", "conflict"),
        ("chief", "add_key", "acme", "app", "done"),
    ]


def test_limits_hold_at_once_and_are_lifted(http: httpx2.Client) -> None:
    made = http.post("/v1/keys", json={"name": "limited", "tenant": "small"}).json()
    headers = {"x-api-key": made["key"]}

    def left() -> str | None:
        answer = httpx2.post(
            f"{url_of(http)}/tokenize",
            headers=headers,
            json={"model": "base", "prompt": "a"},
            timeout=PATIENCE,
        )
        assert answer.status_code == 200
        return answer.headers.get("x-ratelimit-limit-requests")

    assert left() is None
    wanted = {"requests_per_minute": 7, "weight": 3}
    found = http.patch("/v1/tenants/small", json=wanted).json()
    assert found == {
        "name": "small", "requests_per_minute": 7, "tokens_per_minute": None, "tasks": None,
        "gigabytes": None, "weight": 3,
    }  # fmt: skip
    assert found in http.get("/v1/tenants").json()["tenants"]
    assert left() == "7"
    lifted = http.patch("/v1/tenants/small", json={"requests_per_minute": 0}).json()
    assert (lifted["requests_per_minute"], lifted["weight"]) == (None, 3)
    assert left() is None
    assert told(http, 1) == [("chief", "set_limits", "small", "", "done")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/keys", {"name": "no name"}),
        ("POST", "/v1/keys", {"name": "operator"}),
        ("POST", "/v1/keys", {"name": "a", "tenant": "no name"}),
        ("POST", "/v1/keys", {"name": "a", "tenant": "a" * 65}),
        ("POST", "/v1/keys", {"name": "a", "scopes": []}),
        ("POST", "/v1/keys", {"name": "a", "scopes": ["root"]}),
        ("POST", "/v1/keys", {"name": "a", "days": 0}),
        ("POST", "/v1/keys", {"name": "a", "days": 1e300}),
        ("PATCH", "/v1/tenants/acme", {}),
        ("PATCH", "/v1/tenants/acme", {"tasks": -1}),
        ("PATCH", "/v1/tenants/acme", {"weight": 0}),
        ("PATCH", "/v1/tenants/acme", {"tasks": True}),
        ("PATCH", f"/v1/tenants/{'a' * 65}", {"tasks": 1}),
    ],
)
def test_what_is_no_key_and_no_limit_is_refused(
    http: httpx2.Client, method: str, path: str, body: dict[str, object]
) -> None:
    before = http.get("/v1/keys").json(), http.get("/v1/tenants").json()
    refused = http.request(method, path, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert (http.get("/v1/keys").json(), http.get("/v1/tenants").json()) == before


def test_the_sdk_does_all_of_it(http: httpx2.Client, client: Polydelta) -> None:
    made = client.keys.add("scripted", tenant="acme", scopes=["read", "write"])
    assert (made.tenant, made.scopes, made.expires) == ("acme", ["read", "write"], None)
    assert made.model_dump()["key"] == made.key
    for shown in (repr(made), f"{[made]}", made._repr_html_()):
        assert made.key[:7] in shown
        assert made.key[:8] not in shown
    with Polydelta(url_of(http), api_key=made.key) as other:
        assert other.key().name == "scripted"
        with pytest.raises(PermissionDeniedError):
            other.keys.list()
        with pytest.raises(PermissionDeniedError):
            other.tenants.limit("acme", {"tasks": 0})
    with pytest.raises(ConflictError, match="revoke it first"):
        client.keys.add("scripted")
    client.keys.revoke("scripted")
    (known,) = (key for key in client.keys.list() if key.name == "scripted")
    assert (known.good, known.damaged, known.revoked is not None) == (False, False, True)
    with pytest.raises(NotFoundError):
        client.keys.revoke("nobody")
    assert client.tenants.limit("scripted", {"gigabytes": 0.5}).gigabytes == 0.5
    assert "scripted" in {tenant.name for tenant in client.tenants.list()}


def test_the_command_line_does_all_of_it(
    http: httpx2.Client, polydelta: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYDELTA_API_KEY", http.headers["x-api-key"])
    at = ("--admin-url", url_of(http))
    key = polydelta("key", "add", "typed", "--tenant", "acme", "--days", "3", *at).out.strip()
    assert status(http, key) == 200
    listed = {
        each["name"]: each for each in json.loads(polydelta("key", "ls", *at, "-o", "json").out)
    }
    assert (listed["typed"]["tenant"], listed["typed"]["good"]) == ("acme", True)
    assert "typed" in polydelta("key", "ls", *at).out
    assert polydelta("key", "revoke", "typed", *at).code == 0
    assert status(http, key) == 401
    assert polydelta("tenant", "set", "typed", "--tasks", "3", *at).code == 0
    (shown,) = (
        each
        for each in json.loads(polydelta("tenant", "ls", *at, "-o", "json").out)
        if each["name"] == "typed"
    )
    assert shown["tasks"] == 3

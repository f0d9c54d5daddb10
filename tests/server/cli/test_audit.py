"""The audit log: who changed which task, told by the command line and the API alike."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.base import BaseSpec
from server.errors import InvalidRequest
from server.registry.audit import ANONYMOUS, NO_KEYS
from server.registry.catalogue.audit import Audit
from server.registry.catalogue.sqlite import Sqlite
from server.registry.keys import new_key
from server.registry.layout import DATABASE
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.server.api.live import wait_until
from tests.server.cli.conftest import Polydelta
from tests.server.registry.prompts import write_prompt
from tests.server.served import served


@dataclass
class Audited:
    """A server without keys at first, and its store."""

    http: httpx2.Client
    store: Path
    deltas: Path
    spec: BaseSpec

    def ask(self, method: str, path: str, key: str = "", **options: Any) -> httpx2.Response:
        headers = {"x-api-key": key} if key else {}
        return self.http.request(method, path, headers=headers, **options)

    def put(self, name: str, number: int, key: str = "") -> httpx2.Response:
        source = write_prompt(self.deltas / f"{number}", self.spec, number)
        return self.ask("PUT", f"/v1/tasks/{name}", key, json={"source": str(source)})

    def log(self, key: str = "", **query: Any) -> list[dict[str, Any]]:
        answer = self.ask("GET", "/v1/audit", key, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["entries"]


@pytest.fixture(scope="module")
def audited(
    decoder: Path, spec: BaseSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    deltas = folder / "deltas"
    deltas.mkdir()
    with served(decoder, folder / "store", source_roots=[deltas]) as (_, http):
        yield Audited(http, folder / "store", deltas, spec)


def test_each_change_is_told_with_who_made_it(audited: Audited, polydelta: Polydelta) -> None:
    for number in (1, 2):
        assert audited.put("spam", number).status_code == 201
    path = "/v1/tasks/spam"
    audited.ask("POST", f"{path}/activate", json={"version": 1})
    audited.ask("PUT", f"{path}/aliases/first", json={"version": 1})
    audited.ask("PUT", f"{path}/traffic", json={"1": 90, "2": 10})
    audited.ask("DELETE", f"{path}/traffic")
    assert audited.ask("POST", f"{path}/activate", json={"version": 9}).status_code == 404
    audited.ask("DELETE", path)
    told = [(each["kind"], each["version"], each["outcome"]) for each in audited.log()]
    assert told[::-1] == [
        ("put", 1, "done"),
        ("put", 2, "done"),
        ("activate", 1, "done"),
        ("alias", 1, "done"),
        ("share", None, "done"),
        ("unshare", None, "done"),
        ("activate", None, "task_not_found"),
        ("remove", None, "done"),
    ]
    assert {each["who"] for each in audited.log()} == {ANONYMOUS}
    first = audited.log()[-1]
    assert abs(first["at"] - time.time()) < 600
    where = ("--store", str(audited.store))
    listed = json.loads(polydelta("audit", *where, "-o", "json").out)
    assert listed == audited.log()
    assert "activate" in polydelta("audit", "--task", "spam", *where).out
    assert json.loads(polydelta("audit", "--task", "ham", *where, "-o", "json").out) == []
    assert json.loads(polydelta("audit", "--since", "2999-01-01", *where, "-o", "json").out) == []


def test_pages_are_bounded_and_go_on_before_the_last(audited: Audited) -> None:
    whole = audited.log(limit=1000)
    first = audited.log(limit=3)
    assert first == whole[:3]
    assert audited.log(limit=3, before=first[-1]["number"]) == whole[3:6]
    for bad in ({"limit": 0}, {"limit": 1001}, {"before": 0}, {"before": 2**40}, {"task": "a/b"}):
        assert audited.ask("GET", "/v1/audit", params=bad).status_code == 400


def test_tenants_read_what_was_done_to_their_own_tasks(
    audited: Audited, polydelta: Polydelta
) -> None:
    where = ("--store", str(audited.store))

    def key(name: str, *terms: str) -> str:
        made = polydelta("key", "add", name, *terms, *where).out.strip()
        wait_until(lambda: audited.ask("GET", "/version", made).status_code != 401)
        return made

    chief = key("chief", "--scopes", "admin")
    ours = key("ours", "--tenant", "acme", "--scopes", "admin")
    writer = key("writer", "--tenant", "acme", "--scopes", "write,read,infer")
    theirs = key("theirs", "--tenant", "other", "--scopes", "admin")
    # Until the server knows of the first key it wants none.
    wait_until(lambda: audited.ask("GET", "/version").status_code == 401)
    assert audited.ask("GET", "/v1/audit").status_code == 401
    assert audited.ask("GET", "/v1/audit", writer).status_code == 403
    assert audited.put("own", 3, writer).status_code == 201
    assert audited.put("shared", 4, chief).status_code == 201
    (put,) = audited.log(ours, task="own")
    assert (put["who"], put["kind"], put["tenant"], put["version"]) == ("writer", "put", "acme", 1)
    assert {each["tenant"] for each in audited.log(ours)} == {"acme"}
    assert [each["about"] for each in audited.log(theirs)] == ["theirs"]
    assert audited.log(theirs, task="own") == []
    every = audited.log(chief)
    assert {"acme", "other", ""} == {each["tenant"] for each in every}
    polydelta("key", "revoke", "theirs", *where)
    made = [each for each in audited.log(chief) if each["kind"].endswith("_key")]
    assert (made[0]["who"], made[0]["kind"], made[0]["about"]) == (
        "operator", "revoke_key", "theirs"
    )  # fmt: skip
    assert [each["about"] for each in made[:0:-1]] == ["chief", "ours", "writer", "theirs"]
    polydelta("tenant", "set", "acme", "--weight", "2", *where)
    assert [audited.log(ours)[0][each] for each in ("who", "kind")] == ["operator", "set_limits"]
    shown = polydelta("audit", "--task", "acme/own", *where).out
    assert "writer" in shown


@pytest.mark.parametrize("name", sorted(NO_KEYS))
def test_no_key_is_called_what_means_somebody_else(name: str) -> None:
    with pytest.raises(InvalidRequest, match="another name"):
        new_key(name, "", [])


def test_entries_are_forgotten_with_age(spec: BaseSpec, tmp_path: Path) -> None:
    root = tmp_path / "store"
    left: dict[float, int] = {}
    for days in (90.0, 0.0):
        with closing(Registry(Store(root), spec, retention=Retention(audit_days=days))) as registry:
            registry.put(shared("spam"), write_prompt(tmp_path / f"{days}", spec, int(days)))
            registry.look()
            with closing(Sqlite(root / DATABASE)) as database:
                left[days] = len(Audit(database).entries(10))
    assert left == {90.0: 1, 0.0: 0}

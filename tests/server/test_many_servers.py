"""Servers with a registry in PostgreSQL and a store each, as on machines of their own."""

import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.delta import Delta
from deltas.formats import native
from server.build import build_engine, open_base
from server.errors import InvalidSettings
from server.registry.supply.peers import VARIABLE
from server.settings import Settings
from tests import samples
from tests.file_server import serving_files
from tests.ports import held_port
from tests.postgres import Cluster
from tests.server.api.live import PATIENCE, wait_until
from tests.server.served import log, served, url_of

SECRET = "only servers know"


class Servers:
    """Two that fetch from one another."""

    def __init__(
        self, base: Path, folder: Path, first: httpx2.Client, second: httpx2.Client
    ) -> None:
        self.folder = folder
        self.first = first
        self.second = second
        self.spec = open_base(Settings(base=str(base), device="cpu", dtype="float32")).spec
        self._written = 0

    def write(self, delta: Delta) -> Path:
        self._written += 1
        directory = self.folder / "deltas" / str(self._written)
        native.write(delta, directory, self.spec)
        return directory

    def put(self, http: httpx2.Client, name: str, delta: Delta) -> str:
        body = {"source": self.write(delta).as_uri()}
        response = http.put(f"/v1/tasks/{name}", json=body)
        assert response.status_code in (200, 201), response.text
        return response.json()["version"]

    def blobs(self, store: str) -> set[str]:
        return {path.name for path in (self.folder / store / "blobs").iterdir()}


def infer(http: httpx2.Client, task: str) -> Any:
    body = {"task": task, "input": "hello there", "parameters": {"max_tokens": 4}}
    return http.post("/v1/infer", json=body)


def text(response: httpx2.Response) -> str:
    return response.json()["outputs"][0]["text"]


def version(http: httpx2.Client, task: str) -> str:
    response = infer(http, task)
    return response.json()["version"] if response.status_code == 200 else response.text


@contextmanager
def server(
    decoder: Path, store: Path, url: str, variables: dict[str, str] | None = None, **settings: Any
) -> Generator[httpx2.Client]:
    settings = {"registry": url, "source_roots": [store.parent / "deltas"], **settings}
    with served(decoder, store, variables=variables, **settings) as (_, http):
        yield http


@pytest.fixture(scope="module")
def url(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture(scope="module")
def servers(decoder: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    (folder / "deltas").mkdir()
    variables = {VARIABLE: SECRET}
    with (
        server(decoder, folder / "first", url, variables, advertised=True) as first,
        server(decoder, folder / "second", url, variables, advertised=True) as second,
    ):
        yield Servers(decoder, folder, first, second)


def test_what_is_put_on_one_is_answered_by_the_other_at_once(servers: Servers) -> None:
    for kind in ("lora", "prefix"):
        put = servers.put(servers.first, f"at-once-{kind}", samples.generator(kind, servers.spec))
        # Nothing is waited for in between.
        there = infer(servers.second, f"at-once-{kind}")
        assert there.status_code == 200, there.text
        here = infer(servers.first, f"at-once-{kind}")
        assert there.json()["version"] == put
        assert text(there) == text(here)
    assert servers.blobs("first") == servers.blobs("second")


def test_the_active_version_changes_for_all(servers: Servers) -> None:
    first = servers.put(servers.first, "spam", samples.generator("lora", servers.spec))
    second = servers.put(servers.second, "spam", samples.generator("prefix", servers.spec))
    for http in (servers.first, servers.second):
        wait_until(lambda http=http: version(http, "spam") == second)
    body = {"version": 1}
    assert servers.second.post("/v1/tasks/spam/activate", json=body).status_code == 200
    for http in (servers.first, servers.second):
        wait_until(lambda http=http: version(http, "spam") == first)
    assert servers.first.delete("/v1/tasks/spam?forever=true").status_code == 204
    wait_until(lambda: infer(servers.second, "spam").status_code == 404)


def test_only_servers_fetch_files(servers: Servers) -> None:
    put = servers.put(servers.first, "secret", samples.generator("lora", servers.spec))
    # Others may just be swept.
    (digest,) = (each for each in servers.blobs("first") if each.startswith(put))
    names = {path.name for path in (servers.folder / "first/blobs" / digest).iterdir()}
    right = {"authorization": f"Bearer {SECRET}"}
    for name in names:
        place = f"/v1/blobs/{digest}/{name}"
        for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Bearer other"}):
            assert servers.first.get(place, headers=headers).status_code == 404
        response = servers.first.get(place, headers=right)
        assert response.content == (servers.folder / "first/blobs" / digest / name).read_bytes()
    for place in (
        f"{digest}/nothing",
        f"{digest}/..",
        f"{digest}/%2e%2e%2f{digest}%2f{min(names)}",
        f"..%2fblobs/{digest}",
        f"{'0' * 64}/{min(names)}",
        "%00/%00",
    ):
        assert servers.first.get(f"/v1/blobs/{place}", headers=right).status_code in (400, 404)


def test_files_that_are_not_what_they_should_be_are_not_taken(
    servers: Servers, decoder: Path, url: str
) -> None:
    servers.put(servers.first, "damaged", samples.generator("bottleneck", servers.spec))
    assert infer(servers.second, "damaged").status_code == 200
    before = servers.blobs("first")
    versions = servers.first.get("/v1/tasks/damaged/versions").json()["versions"]
    (digest,) = (each for each in before if each.startswith(versions[0]["version"]))
    for store in ("first", "second"):
        for file in (servers.folder / store / "blobs" / digest).glob("*.safetensors"):
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
    with server(decoder, servers.folder / "third", url, {VARIABLE: SECRET}) as third:
        refused = infer(third, "damaged")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "delta_unavailable"
        assert digest not in servers.blobs("third")
        # The others come all the same.
        wait_until(lambda: infer(third, "at-once-lora").status_code == 200)
    assert "It came with the digest" in log(servers.folder / "third").read_text()


def test_a_server_whose_store_is_lost_has_it_again_from_the_others(
    servers: Servers, decoder: Path, url: str
) -> None:
    put = servers.put(servers.first, "kept", samples.generator("lora", servers.spec))
    for turn in range(2):
        store = servers.folder / f"new-{turn}"
        with server(decoder, store, url, {VARIABLE: SECRET}) as http:
            assert version(http, "kept") == put
            wait_until(lambda: servers.first.get("/health/ready").status_code == 200)


def test_a_bucket_has_what_all_servers_put(
    servers: Servers, decoder: Path, postgres: Cluster
) -> None:
    url = postgres.database()
    with serving_files() as bucket:
        variables = {
            "AWS_ENDPOINT_URL": bucket.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "AWS_REGION": "eu-west-1",
        }
        where = "s3://bucket/deltas"
        store = servers.folder / "one"
        with server(decoder, store, url, variables, blobs=where) as http:
            put = servers.put(http, "spam", samples.generator("lora", servers.spec))
            answer = text(infer(http, "spam"))
        with server(decoder, servers.folder / "two", url, variables, blobs=where) as http:
            assert text(infer(http, "spam")) == answer
            assert version(http, "spam") == put
            bucket.special = {path: lambda handler: handler.answer(500) for path in bucket.files}
            bucket.refuse = True
            refused = http.put(
                "/v1/tasks/new", json={"source": (servers.folder / "deltas/1").as_uri()}
            )
            assert refused.status_code == 503
            assert "--blobs" in refused.json()["detail"]
            assert infer(http, "new").status_code == 404
        assert "hunter2" not in log(servers.folder / "two").read_text()


def test_what_needs_a_registry_or_a_secret_says_so(
    decoder: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    given: dict[str, Any] = {"base": str(decoder), "store": tmp_path, "kv_cache_gb": 0.01}
    with pytest.raises(InvalidSettings, match="--registry"):
        build_engine(Settings(**given, advertise="http://here:8000"))
    with pytest.raises(InvalidSettings, match=VARIABLE):
        build_engine(Settings(**given, registry=url, advertise="http://here:8000"))


@contextmanager
def router(servers: Servers) -> Generator[httpx2.Client]:
    """An unmodified vllm-router before both servers, which take turns."""
    output = servers.folder / "router.log"
    with held_port() as port, held_port() as metrics, output.open("wb") as written:
        command: list[Any] = [
            *(sys.executable, "-m", "vllm_router.launch_router", "--host", "127.0.0.1"),
            *("--port", port, "--prometheus-port", metrics, "--policy", "round_robin"),
            *("--worker-urls", url_of(servers.first), url_of(servers.second)),
        ]
        with (
            subprocess.Popen(list(map(str, command)), stdout=written, stderr=written) as process,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http,
        ):
            try:
                while True:
                    assert process.poll() is None, output.read_text()
                    try:
                        if http.get("/health").status_code == 200:
                            break
                    except httpx2.ConnectError:
                        time.sleep(0.05)
                yield http
            finally:
                process.kill()


def test_a_load_through_vllms_router_is_seen_on_both(servers: Servers) -> None:
    directory = servers.write(samples.generator("lora", servers.spec))
    both = (servers.first, servers.second)
    with router(servers) as http:
        body = {"lora_name": "routed", "lora_path": str(directory)}
        loaded = http.post("/v1/load_lora_adapter", json=body)
        assert loaded.status_code == 200, loaded.text
        for _ in range(6):
            body = {"model": "routed", "prompt": "hello", "max_tokens": 2}
            completed = http.post("/v1/completions", json=body)
            assert completed.status_code == 200, completed.text
        for each in both:
            assert each.get("/v1/tasks/routed").json()["requests"] == 3
            assert "routed" in each.get("/v1/models").text
        unloaded = http.post("/v1/unload_lora_adapter", json={"lora_name": "routed"})
        assert unloaded.status_code == 200, unloaded.text
    for each in both:
        wait_until(lambda each=each: "routed" not in each.get("/v1/models").text)

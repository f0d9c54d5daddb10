"""Deltas that a server fetches itself, for a request or as it starts."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from polydelta_client import Polydelta
from server.cli import progress
from server.errors import InvalidSettings
from server.registry.names import shared
from server.settings import Settings
from tests import samples
from tests.file_server import FileServer, Handler, crawling, drip, make_certificate, serving_files
from tests.server.api.live import PATIENCE, Live, serving, wait_until
from tests.server.api.problems import check
from tests.sums import finish

PLACES = 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    certificate = make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem")
    with pytest.MonkeyPatch.context() as patch, serving_files(certificate) as files:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        yield files


@pytest.fixture(scope="module")
def fetching(
    files: FileServer, decoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("fetching")
    allowed = [f"{files.url}/allowed/*"]
    limits = {"max_uploads": PLACES, "max_body_mb": 1, "drain_timeout": 0}
    with serving(decoder, folder, sources=allowed, private_sources=True, **limits) as server:
        written = server.write("lora", samples.generator("lora", server.spec))
        files.put("/allowed/lora", written)
        files.put("/elsewhere/lora", written)
        yield server


def test_requests_have_fetched_what_the_operator_allows(fetching: Live, files: FileServer) -> None:
    with Polydelta(fetching.url) as client:
        task = client.tasks.put("fetched", f"{files.url}/allowed/lora/")
    assert task.kind == "lora"
    body = {"lora_name": "loaded", "lora_path": f"{files.url}/allowed/lora/"}
    assert fetching.post("/v1/load_lora_adapter", **body).status_code == 200
    before = len(files.asked)
    source = f"{files.url}/elsewhere/lora/"
    refused = fetching.http.put("/v1/tasks/other", json={"source": source})
    check(refused, 400, "invalid_request", "source")
    refused = fetching.post("/v1/load_lora_adapter", lora_name="other", lora_path=source)
    check(refused, 400, "invalid_request", "lora_path")
    assert len(files.asked) == before


def test_a_source_that_fails_is_told_with_what_to_do(fetching: Live, files: FileServer) -> None:
    absent = fetching.http.put("/v1/tasks/x", json={"source": f"{files.url}/allowed/absent/"})
    check(absent, 400, "invalid_request", "source")

    def huge(handler: Handler) -> None:
        handler.answer(200, content_length=str(2 << 20))

    files.special["/allowed/huge/delta.json"] = huge
    large = fetching.http.put("/v1/tasks/x", json={"source": f"{files.url}/allowed/huge/"})
    check(large, 400, "invalid_delta")
    files.special["/allowed/odd/delta.json"] = lambda handler: handler.answer(418)
    odd = fetching.http.put("/v1/tasks/x", json={"source": f"{files.url}/allowed/odd/"})
    check(odd, 502, "source_unavailable")
    assert "retry-after" in odd.headers


def test_slow_sources_keep_no_removal_waiting_and_end_with_their_clients(
    fetching: Live, files: FileServer
) -> None:
    files.special["/allowed/slow/delta.json"] = drip
    source = f"{files.url}/allowed/slow/"
    body = f'{{"source": "{source}"}}'
    request = (
        f"PUT /v1/tasks/slow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )
    waiting = [socket.create_connection(fetching.address) for _ in range(PLACES)]
    for each in waiting:
        each.sendall(request.encode())
    wait_until(lambda: len(files.asked_for("/slow/delta.json")) == PLACES)
    busy = fetching.http.put("/v1/tasks/more", json={"source": source})
    check(busy, 429, "queue_full")
    assert fetching.http.delete("/v1/tasks/nothing").status_code == 404
    for each in waiting:
        each.close()
    wait_until(lambda: not list(fetching.folder.glob("store/run-*/staging-*")))


def test_whoever_puts_a_delta_is_told_how_much_has_come(
    fetching: Live, files: FileServer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "err", Console(stderr=True, force_terminal=True, width=80))
    source = files.put("/allowed/told", fetching.folder / "lora")
    with Polydelta(fetching.url) as client, ThreadPoolExecutor(1) as pool:
        with crawling(files, "/allowed/told/delta.safetensors") as whole:
            putting = pool.submit(client.tasks.put, "told", source)
            wait_until(lambda: sum(each.received for each in client.tasks.transfers()) > whole // 2)
            (told,) = client.tasks.transfers()
            assert (told.task, told.source) == ("told", source)
            assert told.known > whole > told.received
            with progress.upload(client, "told", source) as sent:
                assert sent == source
                wait_until(lambda: re.search(r"\d/\d", capsys.readouterr().err) is not None)
        assert putting.result(PATIENCE).kind == "lora"
        assert client.tasks.transfers() == []


def test_what_the_operator_names_is_fetched_as_the_server_starts(
    files: FileServer, fetching: Live, decoder: Path, tmp_path: Path
) -> None:
    tasks = {"own": f"{files.url}/elsewhere/lora/"}
    with serving(decoder, tmp_path, tasks=tasks, private_sources=True) as server:
        assert server.engine.registry.get(shared("own")).active.kind == "lora"


def test_a_server_watches_a_directory(decoder: Path, tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    with serving(decoder, tmp_path, watch=watched) as server:
        finish(server.write("watched/lora", samples.generator("lora", server.spec)))
        wait_until(lambda: server.http.get("/v1/tasks/lora").status_code == 200)
        odd = server.write("odd", samples.generator("lora", server.spec))
        (odd / "delta.json").write_text("{}")
        finish(odd).rename(watched / "odd")
        wait_until(lambda: server.http.get("/health").json()["unserved_folders"] == 1)


def test_tasks_are_looked_for_where_the_operator_says(
    files: FileServer, fetching: Live, decoder: Path, tmp_path: Path
) -> None:
    folder = fetching.write("found", samples.generator("lora", fetching.spec))
    for name in ("found", "batched", "many"):
        files.put(f"/resolved/{name}", folder)
    files.special["/resolved/slow/delta.json"] = drip
    resolve = f"{files.url}/resolved/{{task}}/"
    with serving(decoder, tmp_path, resolve=resolve, private_sources=True) as server:
        body = {"task": "slow", "input": "x", "parameters": {"max_tokens": 1}}
        late = server.http.post("/v1/infer", json=body, headers={"prefer": "wait=0.5"})
        check(late, 504, "deadline_exceeded")
        server.infer("found", "x", max_tokens=1)
        assert server.http.get("/v1/tasks/found").status_code == 200
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: server.infer("many", "x", max_tokens=1), range(8)))
        assert len(files.asked_for("/resolved/many/delta.json")) == 1
        for _ in range(2):
            absent = server.post("/v1/infer", **(body | {"task": "absent"}))
            check(absent, 404, "task_not_found", "task")
        assert len(files.asked_for("/resolved/absent/delta.json")) == 1
        before = len(files.asked)
        for odd in ("..", "a/b", "a@b", "a?b", "%2e%2e"):
            assert server.post("/v1/infer", **(body | {"task": odd})).status_code in (400, 404)
        assert len(files.asked) == before


@pytest.mark.parametrize("template", ["hf://owner", "hf://owner/x{task}", "s3://a/{task}/{task}"])
def test_a_template_has_the_task_as_one_step(template: str) -> None:
    with pytest.raises(InvalidSettings, match="task"):
        Settings.gather(base="x", resolve=template)

import gc
import os
import re
import signal
import socket
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.formats import native
from server import serve
from server.build import open_base
from server.registry.store import Store
from server.settings import Settings
from tests import samples
from tests.server.api.live import PATIENCE
from tests.server.served import hurry, log, served, slow, until_slow

LONG: dict[str, Any] = {
    "task": "base",
    "input": "hello",
    "stream": True,
    "parameters": {"max_tokens": 200, "ignore_eos": True, "n": 16},
}


def test_the_collector_leaves_out_what_is_loaded_before_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen: list[int] = []

    class Server:
        def run(self, _: object) -> None:
            frozen.append(gc.get_freeze_count())

    monkeypatch.setattr(serve, "build_server", lambda *_: Server())
    # The tests' own modules are left out, too.
    gc.unfreeze()
    serve.serve(None, None, ())
    assert frozen[0] > 10_000


@pytest.fixture
def directory(decoder: Path, tmp_path: Path) -> Path:
    """A delta on disk."""
    spec = open_base(Settings(base=str(decoder), device="cpu", dtype="float32")).spec
    native.write(samples.generator("lora", spec), tmp_path / "delta", spec)
    return tmp_path / "delta"


def send(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid
    os.kill(process.pid, number)


def status(process: BaseProcess) -> int | None:
    """With what a process ends; None if it goes on."""
    process.join(PATIENCE)
    return process.exitcode


def until_draining(http: httpx2.Client) -> httpx2.Response:
    while (response := http.get("/health/ready")).status_code == 200:
        time.sleep(0.02)
    return response


@contextmanager
def streaming(http: httpx2.Client, store: Path) -> Generator[Iterator[str]]:
    """The lines of an answer that has begun and takes long, whoever is late."""
    slow(store)
    with http.stream("POST", "/v1/infer", json=LONG) as response:
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        yield lines


def test_sigterm_lets_streams_end_and_refuses_new_work(decoder: Path, tmp_path: Path):
    with served(decoder, tmp_path, drain_timeout=60) as (running, http):
        with streaming(http, tmp_path) as lines:
            send(running, signal.SIGTERM)
            assert until_draining(http).headers["retry-after"]
            assert http.get("/health/live").status_code == 200
            refused = http.post("/v1/infer", json={"task": "base", "input": "hello"})
            draining = (503, "shutting_down")
            assert (refused.status_code, refused.json()["error"]["code"]) == draining
            assert int(refused.headers["retry-after"]) > 0
            for method in ("PUT", "DELETE"):
                refused = http.request(method, "/v1/tasks/spam")
                assert (refused.status_code, refused.json()["error"]["code"]) == draining
            hurry(tmp_path)
            *_, last = lines
        assert last == "data: [DONE]"
        assert status(running) == 0


def test_a_second_signal_does_not_wait(decoder: Path, tmp_path: Path):
    with served(decoder, tmp_path, drain_timeout=600) as (running, http):
        with streaming(http, tmp_path) as lines:
            send(running, signal.SIGINT)
            until_draining(http)
            send(running, signal.SIGINT)
            with pytest.raises(httpx2.TransportError):
                list(lines)
        assert status(running) == 0
    said = log(tmp_path).read_text()
    # Beside it there may be a question whether the server is ready.
    assert re.search(r"Finishing \d requests?, for at most 600 s; again to stop now\.", said)
    for noise in ("Traceback", "Error", "ERROR"):
        assert noise not in said


def test_a_third_signal_waits_for_no_step(decoder: Path, tmp_path: Path):
    with (
        served(decoder, tmp_path, drain_timeout=600) as (running, http),
        streaming(http, tmp_path) as lines,
    ):
        slow(tmp_path, 300)
        until_slow(tmp_path, 300)
        send(running, signal.SIGINT)
        until_draining(http)
        send(running, signal.SIGINT)
        with pytest.raises(httpx2.TransportError):
            list(lines)
        assert running.is_alive()
        send(running, signal.SIGINT)
        assert status(running) == 128 + signal.SIGINT
    assert list(tmp_path.glob("run-*"))
    Store(tmp_path).close()
    assert not list(tmp_path.glob("run-*"))


def test_more_connections_than_open_files_do_no_harm(decoder: Path, tmp_path: Path):
    few: dict[str, Any] = {"files": (300, 400), "drain_timeout": 0}
    with served(decoder, tmp_path, **few) as (_, http), ExitStack() as stack:
        before = len(log(tmp_path).read_text().splitlines())
        for _ in range(600):
            address = (http.base_url.host, http.base_url.port or 0)
            stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
        for _ in range(20):
            assert httpx2.get(http.base_url.join("/health"), timeout=PATIENCE).status_code == 200
        said = log(tmp_path).read_text().splitlines()
    assert len(said) - before < 30
    assert any("leaves room for 200 connections" in line for line in said)


def begun(http: httpx2.Client, rest: int = 1000) -> socket.socket:
    """The beginning of an upload whose client then says nothing more."""
    connection = socket.create_connection((http.base_url.host, http.base_url.port or 0), PATIENCE)
    connection.sendall(
        b"PUT /v1/tasks/x HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: multipart/form-data; boundary=x\r\ncontent-length: %d\r\n\r\n"
        b'--x\r\ncontent-disposition: form-data; name="f"; filename="delta.json"\r\n\r\n{' % rest
    )
    return connection


def staged(store: Path) -> list[Path]:
    return list(store.glob("run-*/staging-*/*"))


def until_staged(store: Path, count: int) -> None:
    while len(staged(store)) < count:
        time.sleep(0.02)


def test_nothing_is_put_while_it_drains_and_nothing_is_left(
    decoder: Path, tmp_path: Path, directory: Path
):
    files = [("files", (path.name, path.read_bytes())) for path in directory.iterdir()]
    store = tmp_path / "store"
    settings: dict[str, Any] = {"drain_timeout": 60, "source_roots": [directory]}
    with served(decoder, store, **settings) as (running, http), ExitStack() as on:
        assert http.put("/v1/tasks/kept", files=files).status_code == 201
        on.enter_context(begun(http))
        until_staged(store, 1)
        with streaming(http, store) as lines:
            send(running, signal.SIGTERM)
            until_draining(http)
            name = {"lora_name": "fresh", "lora_path": str(directory)}
            for response in (
                http.put("/v1/tasks/fresh", files=files),
                http.put("/v1/tasks/fresh", json={"source": str(directory)}),
                http.delete("/v1/tasks/kept"),
                http.post("/v1/load_lora_adapter", json=name),
                http.post("/v1/unload_lora_adapter", json={"lora_name": "kept"}),
            ):
                assert response.status_code == 503, response.text
                assert int(response.headers["retry-after"]) > 0
            hurry(store)
            list(lines)
        assert status(running) == 0
    assert not list(store.glob("run-*"))
    assert len(list(store.glob("blobs/*"))) == 1


def test_puts_until_the_end_leave_nothing(decoder: Path, tmp_path: Path, directory: Path):
    files = [("files", (path.name, path.read_bytes())) for path in directory.iterdir()]
    store = tmp_path / "store"
    with served(decoder, store, drain_timeout=5) as (running, http), ThreadPoolExecutor(6) as pool:

        def put(number: int) -> None:
            with suppress(httpx2.TransportError):
                while http.put(f"/v1/tasks/{number}", files=files).status_code != 503:
                    http.delete(f"/v1/tasks/{number}")

        putting = [pool.submit(put, number) for number in range(6)]
        while not list(store.glob("run-*/*/delta.json")):
            time.sleep(0.02)
        send(running, signal.SIGTERM)
        assert status(running) == 0
        for each in putting:
            each.result()
    assert not list(store.glob("run-*"))
    # One delta, under as many names as it had at the end or was removed from lately.
    assert len(list(store.glob("blobs/*"))) == 1


def test_what_a_kill_leaves_is_swept(decoder: Path, tmp_path: Path, directory: Path):
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    temporary.mkdir()
    settings: dict[str, Any] = {"drain_timeout": 0, "source_roots": [directory]}
    settings["variables"] = {"TMPDIR": str(temporary)}
    with served(decoder, store, **settings) as (running, http), ExitStack() as on:
        assert http.put("/v1/tasks/a", json={"source": str(directory)}).status_code == 201
        for _ in range(3):
            on.enter_context(begun(http))
        until_staged(store, 3)
        running.kill()
        running.join()
    assert staged(store)
    Store(store).close()
    assert not list(store.glob("run-*"))
    assert len(list(store.glob("blobs/*"))) == 1
    assert not list(temporary.iterdir())

import gc
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
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

START = """
import logging
import sys
import time
from pathlib import Path
from server.build import build_engine
from server.listening import listening
from server.model.runner import Runner
from server.serve import serve
from server.settings import Settings

forward = Runner.forward

def delayed(*given):
    time.sleep(0.25 * Path(sys.argv[2]).with_suffix(".slow").exists())
    return forward(*given)

Runner.forward = delayed
logging.basicConfig(level="INFO")
settings = Settings(
    base=sys.argv[1], store=sys.argv[2], port=int(sys.argv[3]), drain_timeout=float(sys.argv[4]),
    source_roots=sys.argv[5:], kv_cache_gb=0.01, dtype="float32", threads=1,
)
with listening(settings) as sockets:
    serve(build_engine(settings), settings, sockets)
"""
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
    try:
        serve.serve(None, None, ())
        assert frozen[0] > 10_000
    finally:
        gc.unfreeze()


@pytest.fixture
def directory(decoder: Path, tmp_path: Path) -> Path:
    """A delta on disk."""
    spec = open_base(Settings(base=str(decoder), device="cpu", dtype="float32")).spec
    native.write(samples.generator("lora", spec), tmp_path / "delta", spec)
    return tmp_path / "delta"


FEW_FILES = """
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))
"""


def log(store: Path) -> Path:
    return store.with_suffix(".log")


@contextmanager
def slow(store: Path) -> Generator[None]:
    """A server's steps take a quarter of a second more, so that what runs goes on."""
    asked = store.with_suffix(".slow")
    asked.touch()
    yield
    asked.unlink()


Process = tuple[subprocess.Popen[bytes], httpx2.Client]


@contextmanager
def process(
    base: Path, store: Path, drain: float, start: str = START, roots: Sequence[Path] = ()
) -> Generator[Process]:
    """A server in a process of its own, ready; it logs to `store`.log."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    given = map(str, (base, store, port, drain, *roots))
    command = [sys.executable, "-c", start, *given]
    with (
        log(store).open("wb") as written,
        subprocess.Popen(command, stderr=written) as running,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        try:
            while True:
                assert running.poll() is None, log(store).read_text()
                try:
                    assert http.get("/health/ready").status_code == 200
                    break
                except httpx2.ConnectError:
                    time.sleep(0.1)
            yield running, http
        finally:
            running.kill()


def until_draining(http: httpx2.Client) -> httpx2.Response:
    while (response := http.get("/health/ready")).status_code == 200:
        time.sleep(0.02)
    return response


def test_sigterm_lets_streams_end_and_refuses_new_work(decoder: Path, tmp_path: Path):
    with process(decoder, tmp_path, drain=60) as (running, http):
        with http.stream("POST", "/v1/infer", json=LONG) as response:
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            with slow(tmp_path):
                running.send_signal(signal.SIGTERM)
                assert until_draining(http).headers["retry-after"]
                assert http.get("/health/live").status_code == 200
                refused = http.post("/v1/infer", json={"task": "base", "input": "hello"})
                draining = (503, "shutting_down")
                assert (refused.status_code, refused.json()["error"]["code"]) == draining
                assert int(refused.headers["retry-after"]) > 0
                for method in ("PUT", "DELETE"):
                    refused = http.request(method, "/v1/tasks/spam")
                    assert (refused.status_code, refused.json()["error"]["code"]) == draining
            *_, last = lines
        assert last == "data: [DONE]"
        assert running.wait(60) == 0


def test_a_second_signal_does_not_wait(decoder: Path, tmp_path: Path):
    with process(decoder, tmp_path, drain=600) as (running, http):
        with http.stream("POST", "/v1/infer", json=LONG) as response:
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            with slow(tmp_path):
                running.send_signal(signal.SIGINT)
                until_draining(http)
                running.send_signal(signal.SIGINT)
            with pytest.raises(httpx2.TransportError):
                list(lines)
        assert running.wait(60) == 0
    said = log(tmp_path).read_text()
    assert "Finishing 1 request, for at most 600 s; again to stop now." in said
    for noise in ("Traceback", "Error", "ERROR"):
        assert noise not in said


def test_a_third_signal_waits_for_no_step(decoder: Path, tmp_path: Path):
    endless = START.replace("0.25", "300")
    with process(decoder, tmp_path, drain=600, start=endless) as (running, http), ExitStack() as on:
        chunks = on.enter_context(http.stream("POST", "/v1/infer", json=LONG)).iter_raw()
        next(chunks)
        with slow(tmp_path):
            running.send_signal(signal.SIGINT)
            until_draining(http)
            running.send_signal(signal.SIGINT)
            with pytest.raises(httpx2.TransportError):
                list(chunks)
            assert running.poll() is None
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 128 + signal.SIGINT
    assert list(tmp_path.glob("run-*"))
    Store(tmp_path).close()
    assert not list(tmp_path.glob("run-*"))


def test_more_connections_than_open_files_do_no_harm(decoder: Path, tmp_path: Path):
    start = FEW_FILES + START
    with process(decoder, tmp_path, drain=0, start=start) as (_, http), ExitStack() as stack:
        before = len(log(tmp_path).read_text().splitlines())
        for _ in range(600):
            address = (http.base_url.host, http.base_url.port or 0)
            stack.enter_context(socket.create_connection(address, timeout=30))
        for _ in range(20):
            assert httpx2.get(http.base_url.join("/health")).status_code == 200
        said = log(tmp_path).read_text().splitlines()
    assert len(said) - before < 30
    assert any("leaves room for 200 connections" in line for line in said)


def begun(http: httpx2.Client, rest: int = 1000) -> socket.socket:
    """The beginning of an upload whose client then says nothing more."""
    connection = socket.create_connection((http.base_url.host, http.base_url.port or 0), 30)
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
    with process(decoder, store, drain=60, roots=[directory]) as (running, http), ExitStack() as on:
        assert http.put("/v1/tasks/kept", files=files).status_code == 201
        lines = on.enter_context(http.stream("POST", "/v1/infer", json=LONG)).iter_lines()
        next(lines)
        on.enter_context(begun(http))
        with slow(store):
            until_staged(store, 1)
            running.send_signal(signal.SIGTERM)
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
        list(lines)
        assert running.wait(60) == 0
    assert not list(store.iterdir())


def test_puts_until_the_end_leave_nothing(decoder: Path, tmp_path: Path, directory: Path):
    files = [("files", (path.name, path.read_bytes())) for path in directory.iterdir()]
    store = tmp_path / "store"
    with process(decoder, store, drain=5) as (running, http), ThreadPoolExecutor(6) as pool:

        def put(number: int) -> None:
            with suppress(httpx2.TransportError):
                while http.put(f"/v1/tasks/{number}", files=files).status_code != 503:
                    http.delete(f"/v1/tasks/{number}")

        putting = [pool.submit(put, number) for number in range(6)]
        while not list(store.glob("run-*/*/delta.json")):
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
        for each in putting:
            each.result()
    assert not list(store.iterdir())


def test_what_a_kill_leaves_is_swept(
    decoder: Path, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = set(temporary.iterdir())
    with process(decoder, store, drain=0, roots=[directory]) as (running, http), ExitStack() as on:
        assert http.put("/v1/tasks/a", json={"source": str(directory)}).status_code == 201
        for _ in range(3):
            on.enter_context(begun(http))
        until_staged(store, 3)
        running.kill()
        running.wait()
    assert staged(store)
    Store(store).close()
    assert not list(store.iterdir())
    assert not set(temporary.iterdir()) - before

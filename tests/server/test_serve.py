import gc
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from server import serve

START = """
import logging
import sys
from server.build import build_engine
from server.listening import listening
from server.serve import serve
from server.settings import Settings

logging.basicConfig(level="INFO")
settings = Settings(
    base=sys.argv[1], store=sys.argv[2], port=int(sys.argv[3]), drain_timeout=float(sys.argv[4]),
    kv_cache_gb=0.01, dtype="float32", threads=1,
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


FEW_FILES = """
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))
"""


def log(store: Path) -> Path:
    return store.with_suffix(".log")


Process = tuple[subprocess.Popen[bytes], httpx2.Client]


@contextmanager
def process(base: Path, store: Path, drain: float, start: str = START) -> Generator[Process]:
    """A server in a process of its own, ready; it logs to `store`.log."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", start, str(base), str(store), str(port), str(drain)]
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

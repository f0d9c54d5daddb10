import gc
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from server import serve

START = """
import sys
from server.build import build_engine
from server.serve import serve
from server.settings import Settings

settings = Settings(
    base=sys.argv[1], store=sys.argv[2], port=int(sys.argv[3]), drain_timeout=float(sys.argv[4]),
    kv_cache_gb=0.01, dtype="float32", threads=1,
)
serve(build_engine(settings), settings)
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
        def run(self) -> None:
            frozen.append(gc.get_freeze_count())

    monkeypatch.setattr(serve, "build_server", lambda *_: Server())
    try:
        serve.serve(None, None)
        assert frozen[0] > 10_000
    finally:
        gc.unfreeze()


Process = tuple[subprocess.Popen[str], httpx2.Client]


@contextmanager
def process(base: Path, store: Path, drain: float) -> Generator[Process]:
    """A server in a process of its own, ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", START, str(base), str(store), str(port), str(drain)]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        try:
            while True:
                assert running.poll() is None, running.communicate()[1]
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
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "shutting_down"
            assert int(refused.headers["retry-after"]) > 0
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
            running.send_signal(signal.SIGTERM)
            with pytest.raises(httpx2.TransportError):
                list(lines)
        assert running.wait(60) == 0

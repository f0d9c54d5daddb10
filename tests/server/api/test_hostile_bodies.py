"""No body, whatever is in it or asked for by it, keeps the server from answering others."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from server.api.http.limits import MAX_JSON_BYTES
from server.bench.process import server
from tests.server.api.hostile import Document

PAUSE = 0.05
"""Seconds that /health/live may take longer while a body is dealt with."""
TRIES = 6
"""A busy machine may be late now and then; a body that stalls the server does so every time."""


class Pulse(threading.Thread):
    """Asks for the server's health all the time and keeps the longest answer's seconds."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.worst = 0.0
        self.beats = 0
        self.ended = False
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def run(self) -> None:
        while not self.ended:
            begun = time.monotonic()
            self._connection.request("GET", "/health/live")
            assert self._connection.getresponse().read()
            self.worst = max(self.worst, time.monotonic() - begun)
            self.beats += 1
            time.sleep(0.001)
        self._connection.close()

    def shortest(self, client: httpx2.Client, method: str, path: str, body: str) -> float:
        """How much longer an answer took while a request was dealt with, at best."""
        found = PAUSE + 1
        for _ in range(TRIES):
            if found > PAUSE:
                found = min(found, self.during(client, method, path, body))
        return found

    def during(self, client: httpx2.Client, method: str, path: str, body: str) -> float:
        """How much longer an answer took while a request was dealt with."""
        self.worst = 0.0
        begun = time.monotonic()
        response = client.request(
            method, path, content=body, headers={"content-type": "application/json"}
        )
        assert response.status_code < 500, response.text
        beats = self.beats
        while self.beats < beats + 2 and self.is_alive():
            time.sleep(0.001)
        worst, self.worst = self.worst, 0.0
        if worst > PAUSE:
            # What a busy machine adds is seen while nothing is asked.
            time.sleep(time.monotonic() - begun)
            worst -= self.worst
        return worst


FLAGS = ("--kv-cache-gb", "0.01", "--dtype", "float32", "--threads", "1")
READING = {"/v1/embeddings", "/pooling", "/score", "/rerank", "/v1/rerank", "/embed", "/"}
"""What a bare encoder answers: right bodies, too."""


@pytest.fixture(scope="module")
def url(decoder: Path) -> Iterator[str]:
    with server([str(decoder), *FLAGS]) as address:
        yield address


@pytest.fixture(scope="module")
def reading(encoder: Path) -> Iterator[str]:
    with server([str(encoder), *FLAGS]) as address:
        yield address


@contextmanager
def beating(url: str) -> Iterator[Pulse]:
    pulse = Pulse(url.removeprefix("http://"))
    pulse.start()
    try:
        yield pulse
    finally:
        pulse.ended = True
        pulse.join()


@pytest.fixture
def pulse(url: str) -> Iterator[Pulse]:
    with beating(url) as pulse:
        yield pulse


def late_bodies(url: str, reading: bool) -> tuple[set[str], dict[str, float]]:
    """The routes that were asked, and the bodies that stalled the server; each form of body once.

    Those of READING are an encoder's, all others a decoder's.
    """
    with beating(url) as pulse, httpx2.Client(base_url=url, timeout=120) as client:
        document = Document(client.get("/openapi.json").json())
        seen: set[str] = set()
        late: dict[str, float] = {}
        forms: list[object] = []
        for method, path, schema in document.routes():
            if (path in READING) is not reading or schema in forms:
                continue
            seen.add(path)
            forms.append(schema)
            target = path.replace("{name}", "x")
            for name, body in document.bodies(schema):
                assert len(body) <= MAX_JSON_BYTES
                worst = pulse.shortest(client, method, target, body)
                if worst > PAUSE:
                    late[f"{path}: {name}"] = worst
        return seen, late


def test_no_body_stops_the_others(url: str):
    seen, late = late_bodies(url, reading=False)
    assert {"/v1/infer", "/v1/completions", "/v1/tasks/{name}", "/v1/load_lora_adapter"} <= seen
    assert not late


def test_no_body_stops_the_others_of_an_encoder(reading: str):
    seen, late = late_bodies(reading, reading=True)
    assert seen == READING
    assert not late


LARGE = {"max_tokens": 200, "ignore_eos": True, "n": 16}
ALL_TOKENS = {"logprobs": True, "top_logprobs": 20}
TOP = {**LARGE, "logprobs": 20}
CHAT = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/infer", {"task": "base", "input": "x", "parameters": TOP}),
        ("/v1/completions", {"model": "base", "prompt": "x", **LARGE, "logprobs": 20}),
        ("/v1/chat/completions", {"model": "base", "messages": CHAT, **LARGE, **ALL_TOKENS}),
    ],
)
def test_no_answer_stops_the_others(url: str, pulse: Pulse, path: str, body: dict[str, Any]):
    with httpx2.Client(base_url=url, timeout=120) as client:
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) > 1 << 20
        assert pulse.shortest(client, "POST", path, json.dumps(body)) <= PAUSE

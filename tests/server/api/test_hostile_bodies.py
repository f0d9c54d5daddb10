"""No body, whatever is in it or asked for by it, keeps the server from answering others."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from server.api.http.faults import told
from server.api.http.limits import MAX_JSON_BYTES
from server.api.routes.chat import ChatBody
from tests.server.api.hostile import Document
from tests.server.served import served
from tests.server.turns import Turns

PAUSE = 0.05
"""Seconds that the server may compute without a turn for anybody else."""
TRIES = 3
"""What is first used may take long; a body that stalls the server does so every time."""
READING = {"/v1/embeddings", "/pooling", "/score", "/rerank", "/v1/rerank", "/embed", "/"}
"""What a bare encoder answers: right bodies, too."""
JSON = {"content-type": "application/json"}


@dataclass
class Watched:
    """A server whose turns are counted."""

    http: httpx2.Client
    turns: Turns

    def shortest(self, method: str, path: str, body: str) -> float:
        """For how long nobody else had a turn while a request was dealt with, at best."""
        found = PAUSE + 1
        for _ in range(TRIES):
            if found > PAUSE:
                self.turns.forget()
                response = self.http.request(method, path, content=body, headers=JSON)
                assert response.status_code < 500, response.text
                found = min(found, self.turns.longest())
        return found


@contextmanager
def watched(base: Path, folder: Path) -> Iterator[Watched]:
    turns = Turns()
    with served(base, folder, turns=turns, drain_timeout=0) as (_, http):
        http.timeout = 120
        yield Watched(http, turns)


@pytest.fixture(scope="module")
def writing(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(decoder, tmp_path_factory.mktemp("writing")) as server:
        yield server


@pytest.fixture(scope="module")
def reading(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(encoder, tmp_path_factory.mktemp("reading")) as server:
        yield server


def late_bodies(server: Watched, every: bool, reading: bool) -> tuple[set[str], dict[str, float]]:
    """The routes that were asked, and the bodies that stalled the server; each form of body once.

    Those of READING are an encoder's, all others a decoder's.
    """
    document = Document(server.http.get("/openapi.json").json())
    seen: set[str] = set()
    late: dict[str, float] = {}
    forms: list[object] = []
    for method, path, schema in document.routes():
        if (path in READING) is not reading or schema in forms:
            continue
        seen.add(path)
        forms.append(schema)
        target = path.replace("{name}", "x")
        for name, body in document.bodies(schema, every=every):
            assert len(body) <= MAX_JSON_BYTES
            if (found := server.shortest(method, target, body)) > PAUSE:
                late[f"{path}: {name}"] = found
    return seen, late


EVERY = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])


@EVERY
def test_no_body_stops_the_others(writing: Watched, every: bool):
    seen, late = late_bodies(writing, every, reading=False)
    assert {"/v1/infer", "/v1/completions", "/v1/tasks/{name}", "/v1/load_lora_adapter"} <= seen
    assert not late


@EVERY
def test_no_body_stops_the_others_of_an_encoder(reading: Watched, every: bool):
    seen, late = late_bodies(reading, every, reading=True)
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
def test_no_answer_stops_the_others(writing: Watched, path: str, body: dict[str, Any]):
    answer = writing.http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 1 << 20
    assert writing.shortest("POST", path, json.dumps(body)) <= PAUSE


def telling(fields: int) -> float:
    """Processor seconds in which that many fields are told that a closed part has not."""
    strange = {f"k{at}": at for at in range(fields)}
    body = {"model": "base", "messages": CHAT, "response_format": {"type": "text", **strange}}
    with pytest.raises(ValidationError) as fault:
        ChatBody.model_validate(body)
    error = RequestValidationError(fault.value.errors(include_url=False), body=body)
    begun = time.thread_time()
    message, place = told(error)
    assert (message.endswith(f"and {fields - 3} more"), place) == (True, "response_format.k0")
    return time.thread_time() - begun


def test_thousands_of_faults_are_told_as_some_are():
    usual = min(telling(100) for _ in range(10))
    assert telling(16_000) < 1000 * usual

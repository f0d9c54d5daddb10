"""Overload over HTTP: floods, refusals that say when to come again, and clients' own deadlines."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import openai
import pytest
from starlette.datastructures import Headers

from server.api.caller import patience_of
from tests import samples
from tests.server.api.live import PATIENCE, Live, serving, wait_until
from tests.server.engine.pacing import Steps, paced, step_takes

ENDLESS = {"max_tokens": 240, "ignore_eos": True}


@pytest.fixture(scope="module")
def small(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with few places."""
    limits = {"max_sequences": 16, "max_waiting": 64, "drain_timeout": 0}
    with serving(decoder, tmp_path_factory.mktemp("small"), **limits) as server:
        for kind in ("lora", "bottleneck"):
            server.add(kind, samples.generator(kind, server.spec))
        yield server


def fill(live: Live, count: int, steps: Steps, key: str = "") -> list[threading.Thread]:
    """Ask for so many long answers, each on a connection of its own, and wait until they run."""

    body = {"task": "lora", "input": "x", "parameters": ENDLESS}
    headers = {"authorization": f"Bearer {key}"} if key else {}

    def ask() -> None:
        with suppress(httpx2.TransportError):
            live.http.post("/v1/infer", json=body, headers=headers)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()

    steps.begin(count)
    wait_until(lambda: live.engine.stats().running == count)
    return threads


def test_a_polite_client_is_answered_beside_a_flood(small: Live) -> None:
    """A hundred clients of one task on eighty places, and one of another task."""
    body = {"task": "lora", "input": "x", "parameters": {"max_tokens": 24, "ignore_eos": True}}

    async def flood(http: httpx2.AsyncClient, refusals: list[int], flooded: asyncio.Event) -> None:
        while True:
            began = time.monotonic()
            response = await http.post("/v1/infer", json=body)
            refusals.append(response.status_code)
            if refusals.count(429) == 20:
                flooded.set()
            # Worse than any client that is told so: it comes again soon, if not at a rate at which
            # a busy machine does nothing but refuse.
            again = max(0.2, time.monotonic() - began)
            await asyncio.sleep(again if response.status_code == 429 else 0)

    async def both() -> tuple[list[int], list[int]]:
        polite: list[int] = []
        refusals: list[int] = []
        flooded = asyncio.Event()
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=small.url, timeout=PATIENCE, limits=limits) as http:
            flooding = [asyncio.create_task(flood(http, refusals, flooded)) for _ in range(100)]
            await flooded.wait()
            for _ in range(5):
                asked = {**body, "task": "bottleneck"}
                polite.append((await http.post("/v1/infer", json=asked)).status_code)
            for task in flooding:
                task.cancel()
            await asyncio.gather(*flooding, return_exceptions=True)
        return polite, refusals

    polite, refusals = asyncio.run(both())
    assert polite == [200] * 5
    assert set(refusals) == {200, 429}
    small.settle()


def test_a_refusal_says_when_to_come_again(small: Live) -> None:
    with paced(small.engine) as steps:
        threads = fill(small, 16, steps)
        step_takes(small.engine, 0.05)
        refused = small.post("/v1/infer", task="lora", input="x")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "queue_full"
        seconds = int(refused.headers["retry-after"])
        assert 0 < seconds <= 60
        assert seconds - 1 <= int(refused.headers["retry-after-ms"]) / 1e3 <= seconds
        metrics = small.http.get("/metrics").text
        assert "polydelta_refused_total " in metrics
        wait = float(metrics.split("\npolydelta_expected_wait_seconds ")[1].split()[0])
        assert wait > 0
        steps(100_000)
    for thread in threads:
        thread.join()


def test_a_batch_is_taken_whole_or_not_at_all(small: Live) -> None:
    element = {"task": "lora", "input": "x", "parameters": {"max_tokens": 2}}
    answer = small.post("/v1/infer/batch", requests=[element] * 70).json()
    assert len([each for each in answer["results"] if "outputs" in each]) == 70
    inputs = small.post("/v1/infer", task="lora", input=["x"] * 70, parameters={"max_tokens": 2})
    assert len(inputs.json()["outputs"]) == 70


@pytest.mark.parametrize(
    ("headers", "patience"),
    [
        ({}, None),
        ({"prefer": "wait=10"}, 10.0),
        ({"prefer": 'respond-async, Wait = "0.5"; x'}, 0.5),
        ({"prefer": "waiting=1, nowait=2"}, None),
        ({"prefer": "wait=soon"}, None),
        ({"prefer": "wait=-1"}, None),
        ({"x-stainless-read-timeout": "600.0"}, 600.0),
        ({"x-stainless-read-timeout": "600", "prefer": "wait=7"}, 7.0),
        ({"x-stainless-read-timeout": "nan"}, None),
        ({"x-stainless-read-timeout": "inf"}, None),
        ({"x-stainless-read-timeout": "not given"}, None),
        ({"x-envoy-expected-rq-timeout-ms": "1500"}, 1.5),
    ],
)
def test_a_clients_patience(headers: dict[str, str], patience: float | None) -> None:
    assert patience_of(Headers(headers)) == patience


def test_who_waits_past_its_deadline_is_told(small: Live) -> None:
    with paced(small.engine) as steps:
        threads = fill(small, 16, steps)
        step_takes(small.engine, 0.0)
        started = time.monotonic()
        late = small.http.post(
            "/v1/infer", json={"task": "bottleneck", "input": "x"}, headers={"prefer": "wait=0.4"}
        )
        assert time.monotonic() - started >= 0.4, late.text
        assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert small.engine.stats().waiting + small.engine.stats().running == 16
        steps(100_000)
    for thread in threads:
        thread.join()


def test_openais_client_tells_its_patience_and_comes_again_when_told(small: Live) -> None:
    address = f"{small.url}/v1"
    with ThreadPoolExecutor(1) as pool, paced(small.engine) as steps:
        # Of one caller with the client: others would be let in to wait.
        threads = fill(small, 16, steps, key="x")
        step_takes(small.engine, 60.0)
        hurried = openai.OpenAI(base_url=address, api_key="x", max_retries=0, timeout=60)
        with pytest.raises(openai.RateLimitError, match="s that you wait"):
            hurried.completions.create(model="bottleneck", prompt="x")
        # A place is expected in a second.
        step_takes(small.engine, 60.0 / small.engine.stats().expected_wait)
        before = refused(small)
        insistent = openai.OpenAI(base_url=address, api_key="x", max_retries=50)
        asked = pool.submit(insistent.completions.create, model="lora", prompt="x", max_tokens=3)
        wait_until(lambda: refused(small) > before)
        steps(100_000)
        assert asked.result().usage is not None
    for thread in threads:
        thread.join()


def refused(live: Live) -> float:
    """How many requests were turned away so far."""
    return float(live.http.get("/metrics").text.split("\npolydelta_refused_total ")[1].split()[0])

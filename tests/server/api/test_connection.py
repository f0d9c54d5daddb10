import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.server.api.live import Live, wait_until
from tests.server.engine.pacing import paced

LONG = {"max_tokens": 240, "ignore_eos": True}
BODIES = {
    "/v1/infer": {"task": "lora", "input": "x", "parameters": LONG},
    "/v1/infer/batch": {"requests": [{"task": "lora", "input": "x", "parameters": LONG}]},
    "/v1/completions": {"model": "lora", "prompt": "x", **LONG},
    "/v1/chat/completions": {
        "model": "lora",
        "messages": [{"role": "user", "content": "x"}],
        **LONG,
    },
    "/v1/responses": {
        "model": "lora",
        "input": "x",
        "max_output_tokens": 240,
        "ignore_eos": True,
    },
}
STREAMING = [path for path in BODIES if path != "/v1/infer/batch"]


def ask(live: Live, path: str = "/v1/infer", **body: Any) -> socket.socket:
    """Send a long request without reading its answer."""
    return live.send(path, **{**BODIES[path], **body})


def ends_at_once(live: Live, steps: Callable[[int], None]) -> None:
    """Fail unless all requests are given up now, and their rows are in no step but the one held."""
    live.settle()
    steps(1)
    wait_until(lambda: live.engine.stats().cache_usage == 0)


@pytest.mark.parametrize("path", STREAMING)
def test_a_client_that_leaves_in_mid_stream_frees_its_rows(live: Live, path: str):
    with paced(live.engine) as steps:
        with ask(live, path, stream=True) as connection:
            # A piece of text may take some tokens; the whole answer takes more than twice as many.
            steps(100)
            assert connection.recv(1)
            wait_until(lambda: live.engine.stats().running == 1)
        ends_at_once(live, steps)


@pytest.mark.parametrize("path", BODIES)
def test_a_client_that_leaves_before_the_answer_frees_its_rows(live: Live, path: str):
    with paced(live.engine) as steps:
        with ask(live, path):
            steps.begin(1)
            wait_until(lambda: live.engine.stats().running == 1)
        ends_at_once(live, steps)


def test_a_client_that_leaves_takes_what_waits_with_it(live: Live):
    with paced(live.engine) as steps:
        with ask(live, input=["x"] * 100):
            steps.begin(1)
            wait_until(lambda: live.engine.stats().running > 0)
            wait_until(lambda: live.engine.stats().waiting > 0)
        ends_at_once(live, steps)


def test_a_reader_that_takes_nothing_holds_up_nobody(live: Live):
    parameters = {"max_tokens": 40, "ignore_eos": True, "n": 16, "logprobs": 20}
    with ExitStack() as held:
        steps = held.enter_context(paced(live.engine))
        with ask(live, stream=True, parameters=parameters):
            steps.begin(16)
            wait_until(lambda: live.engine.stats().running == 16)
            held.close()
            assert live.infer("lora", "hello", max_tokens=3)["outputs"]
            live.settle()


def test_health_answers_while_the_engine_works(live: Live):
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            live.infer("lora", ["x"] * 16, max_tokens=8, ignore_eos=True)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(work)
        wait_until(lambda: live.engine.stats().running > 0)
        load = live.http.get("/health").json()
        assert load["status"] == "ok"
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert live.http.get(path).status_code == 200
        done.set()

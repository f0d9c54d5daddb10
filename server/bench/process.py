"""Servers of the measurement's own, each in a process of its own."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx2

from server.bench.errors import BenchError
from server.bench.kept import kept

_READY_SECONDS = 900
_LAST_LINES = 5


@contextmanager
def server(
    arguments: Sequence[str],
    quota: float | None = None,
    variables: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Generator[str]:
    """Run `polydelta serve ARGUMENTS` on a free port; yields its URL once it is ready.

    `quota` is how many processors it may use, `variables` are added to the environment, `log` is a
    file that keeps its output. Raises BenchError with the end of that if it does not start.
    """
    port = free_port()
    # -P: a module of the working directory may be called server, too.
    command = [sys.executable, "-P", "-m", "server.cli", "serve", *arguments, "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as store,
        serving(
            [*command, "--store", store],
            port,
            "/health/ready",
            quota=quota,
            variables=variables,
            log=log,
        ) as url,
    ):
        yield url


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    ready: str,
    *,
    quota: float | None = None,
    variables: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Generator[str]:
    """Run a server's command; yields the URL at `port` once the path `ready` answers well.

    `quota` is how many processors it may use, `variables` are added to the environment, `log` is a
    file that keeps its output. Raises BenchError with the end of that if it does not start.
    """
    with (
        _output(log) as output,
        kept(
            command, quota=quota, variables=variables, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        _wait_ready(f"{url}{ready}", process, output)
        yield url


def _output(log: Path | None) -> IO[str]:
    if log is not None:
        return log.open("w+", errors="replace")
    return tempfile.TemporaryFile("w+", errors="replace")


def last_lines(output: IO[str]) -> str:
    """The end of what a process wrote, which mostly says why it stopped."""
    output.seek(0)
    return "".join(output.readlines()[-_LAST_LINES:])


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_ready(url: str, process: subprocess.Popen[bytes], output: IO[str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(url).is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.2)
    raise BenchError(f"The server did not start:\n{last_lines(output)}")

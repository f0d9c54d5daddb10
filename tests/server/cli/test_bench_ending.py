"""`polydelta bench` that is ended from outside takes along what it started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.processes import all_end, marked
from tests.server.bench.environments import borrow

NAME = "BENCH_ENDING_TEST"
# Many short turns: it is never far from a run beside a busy process.
LOAD = ("--tasks", "1", "--requests", "2", "--concurrency", "2", "--input-tokens", "8")
TURNS = ("--output-tokens", "4", "--beside", "1", "--repeat", "100000")


@pytest.fixture
def mark() -> Iterator[str]:
    """A variable that all processes of a test have."""
    variable = f"{NAME}={uuid4().hex}"
    yield variable
    assert all_end(variable)


def start(mark: str, scratch: Path, *arguments: str) -> subprocess.Popen[str]:
    scratch.mkdir()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "server.cli", "bench", *arguments, *LOAD, *TURNS],
        env=os.environ | {NAME: mark.removeprefix(f"{NAME}="), "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until_busy(bench: subprocess.Popen[str], mark: str) -> None:
    while not any("busy.py" in line for line in marked(mark)):
        assert bench.poll() is None, bench.communicate()[0]
        time.sleep(0.05)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_a_signal_ends_everything_in_order(
    decoder: Path, tmp_path: Path, mark: str, number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    with start(mark, scratch, "--base", str(decoder)) as bench:
        wait_until_busy(bench, mark)
        bench.send_signal(number)
        printed, _ = bench.communicate()
    assert bench.returncode == 128 + number
    assert "Traceback" not in printed
    assert all_end(mark)
    assert list(scratch.iterdir()) == []


def test_a_bench_that_is_killed_leaves_nothing_running(
    decoder: Path, tmp_path: Path, mark: str
) -> None:
    borrow("transformers", tmp_path)
    peers = ("--peer", "transformers", "--cache", str(tmp_path))
    with start(mark, tmp_path / "scratch", "--base", str(decoder), *peers) as bench:
        wait_until_busy(bench, mark)
        running = " ".join(marked(mark))
        assert "server.cli serve" in running
        assert "peft_batches" in running
        bench.kill()
    assert all_end(mark)

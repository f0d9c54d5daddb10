"""Processes that end with whoever started them."""

import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from server.bench.kept import kept
from tests.processes import all_end, marked

# One that ends when asked to, and started another, which does not.
FAMILY = ["sh", "-c", "(trap '' TERM; echo ready; sleep 1000) & wait"]
HOLDER = f"""
import sys
from server.bench.kept import kept
with kept({FAMILY!r}, stdout=sys.stdout):
    sys.stdin.read()
"""


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A variable that everything which is started here has."""
    name, value = "KEPT_TEST", uuid4().hex
    monkeypatch.setenv(name, value)
    yield f"{name}={value}"
    assert all_end(f"{name}={value}")


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()


def test_all_that_was_started_ends_with_the_context(mark: str) -> None:
    with kept(FAMILY, stdout=subprocess.PIPE) as process:
        ready(process)
        # The keeper, the leader and the one that does not listen.
        assert len(marked(mark)) >= 3
    assert process.returncode == 128 + signal.SIGTERM
    assert all_end(mark)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_all_that_was_started_ends_with_the_process_that_held_it(
    mark: str, ending: signal.Signals
) -> None:
    command = [sys.executable, "-c", HOLDER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        ready(holder)
        holder.send_signal(ending)
    assert all_end(mark)


def test_all_that_was_started_ends_with_its_keeper(mark: str) -> None:
    with kept(FAMILY, stdout=subprocess.PIPE) as process:
        ready(process)
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        assert all_end(mark)


@pytest.mark.usefixtures("mark")
def test_a_command_has_its_streams_its_variables_and_its_status() -> None:
    script = "read word; echo $word $MORE; echo wrong >&2; exit 3"
    pipe = subprocess.PIPE
    command = ["sh", "-c", script]
    with kept(command, variables={"MORE": "more"}, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.communicate(b"some\n") == (b"some more\n", b"wrong\n")
    assert process.returncode == 3


@pytest.mark.usefixtures("mark")
def test_a_command_that_is_not_there_says_so() -> None:
    with kept(["./not/here"], stderr=subprocess.PIPE) as process:
        _, errors = process.communicate()
    assert process.returncode == 127
    assert b"No such file or directory: './not/here'" in errors


def test_no_descriptor_is_left() -> None:
    descriptors = Path("/proc/self/fd")
    # What earlier tests left behind may go at any time.
    gc.collect()
    before = len(list(descriptors.iterdir()))
    with kept(["true"]):
        pass
    assert len(list(descriptors.iterdir())) <= before

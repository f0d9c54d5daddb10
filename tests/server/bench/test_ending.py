"""Signals that end what runs, and what runs inside ends with it."""

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.processes import all_end

RUNS = {
    "an event loop": "asyncio.run(asyncio.sleep(1000))",
    "a call": "time.sleep(1000)",
}
PROGRAM = """
import asyncio, signal, sys, time
# Where the tests run under nohup or behind a shell's & they would be ignored, and so stay.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from server.bench.ending import ending_in_order
from server.bench.kept import kept
with ending_in_order(), kept(["sh", "-c", "echo ready; sleep 1000"], stdout=sys.stdout):
    {run}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("run", RUNS)
def test_a_signal_ends_what_runs_and_what_it_started(run: str, number: signal.Signals) -> None:
    name, value = "ENDING_TEST", uuid4().hex
    command = [sys.executable, "-c", PROGRAM.format(run=RUNS[run])]
    environment = os.environ | {name: value}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.send_signal(number)
    # What Ctrl-C becomes is the command line's to say.
    assert program.returncode == (-number if number == signal.SIGINT else 128 + number)
    assert all_end(f"{name}={value}")

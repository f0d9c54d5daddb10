"""A peer's library in a process of its own, here under the tests' own interpreter."""

import sys
from pathlib import Path

import pytest

from server.bench.errors import BenchError
from server.bench.peers.program import program


def test_a_process_that_stops_says_why() -> None:
    with (
        pytest.raises(BenchError, match=r"peer stopped:\n(.*\n)*ModuleNotFoundError"),
        program("peer", Path(sys.executable), "no_such_runner", {}),
    ):
        pass

"""A peer's library in a process of its own, here under the tests' own interpreter."""

import sys
from pathlib import Path

import pytest

from server.bench.errors import BenchError, GivenUp
from server.bench.load import Load
from server.bench.peers.program import program


def test_a_process_that_stops_says_why() -> None:
    with (
        pytest.raises(BenchError, match=r"peer stopped:\n(.*\n)*ModuleNotFoundError"),
        program("peer", Path(sys.executable), "no_such_runner", {}),
    ):
        pass


def test_a_job_that_takes_too_long_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_runner.py").write_text(
        "import time\nprepare = lambda setup: lambda job: time.sleep(1000)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with program("peer", Path(sys.executable), "slow_runner", {}) as side:
        with pytest.raises(GivenUp, match=r"after 0\.5 seconds\. The process was ended with it"):
            side.run(["base"], Load(1, 1, 1, 1, seconds=0.5), "any", lambda: None)
        assert side.ended

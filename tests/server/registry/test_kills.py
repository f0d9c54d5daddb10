"""What a killed process said is done is done; what it was at is done or not; nothing is left."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import Cluster


def kill(root: Path, rounds: int, *url: str, living: int = 0) -> int:
    """Kill so often, beside so many servers that live; return how many changes were told done."""
    command = [
        sys.executable,
        "-m",
        "tests.server.registry.kills",
        str(root),
        str(rounds),
        "1",
        str(living),
        *url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(r"(\d+) changes told", done.stdout)
    assert found is not None
    return int(found[1])


def test_kills_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    assert kill(tmp_path, 25) > 0


def test_kills_beside_a_server_that_lives_cost_it_nothing(tmp_path: Path) -> None:
    assert kill(tmp_path, 12, living=1) > 0


def test_kills_over_postgres(tmp_path: Path, postgres: Cluster) -> None:
    assert kill(tmp_path, 12, postgres.database()) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_kills(tmp_path: Path) -> None:
    assert kill(tmp_path, 1000) > 1000


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_kills_over_postgres(tmp_path: Path, postgres: Cluster) -> None:
    assert kill(tmp_path, 1000, postgres.database()) > 1000

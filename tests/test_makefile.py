"""`make run` says what it is about to do before each step that takes long."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_line_comes_before_each_long_step() -> None:
    asked = ["make", "--dry-run", "--always-make", "--no-print-directory", "run"]
    printed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    steps = [line for line in printed.splitlines() if not line.startswith(("mkdir", "touch"))]
    long = [index for index, line in enumerate(steps) if " install " in line or "-m venv" in line]
    assert len(long) == 5
    assert all(steps[index - 1].startswith('echo "') for index in long)

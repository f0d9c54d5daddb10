"""Running a peer's own converter of a base or a delta."""

import subprocess
from collections.abc import Sequence

from server.bench.errors import BenchError

_LAST_CHARACTERS = 1000


def convert(command: Sequence[str], text: str = "") -> None:
    """Run a converter with `text` as its input; raises BenchError with the end of its output."""
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace")[-_LAST_CHARACTERS:]
        raise BenchError(f"A conversion for a peer failed: {' '.join(command)}\n{last}")

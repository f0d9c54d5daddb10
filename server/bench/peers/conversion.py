"""Running a peer's own converter of a base or a delta."""

import subprocess
from collections.abc import Sequence

from server.bench.errors import BenchError
from server.bench.kept import kept

_LAST_CHARACTERS = 1000


def convert(command: Sequence[str], text: str = "") -> None:
    """Run a converter with `text` as its input; raises BenchError with the end of its output."""
    pipe = subprocess.PIPE
    with kept(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        _, errors = process.communicate(text.encode())
    if process.returncode:
        last = errors.decode(errors="replace")[-_LAST_CHARACTERS:]
        raise BenchError(f"A conversion for a peer failed: {' '.join(command)}\n{last}")

"""Neighbours: busy processes beside a measurement, as other programs are on a real machine."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_BUSY = Path(__file__).parent / "runners" / "busy.py"


@contextmanager
def neighbours(count: int) -> Generator[None]:
    """Keep `count` processors busy meanwhile, each by a process that ends when this one does."""
    with ExitStack() as stack:
        started = [stack.enter_context(_neighbour()) for _ in range(count)]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield


@contextmanager
def _neighbour() -> Generator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-S", str(_BUSY)]
    # A group of its own: no key that is pressed in the terminal ends it in the middle of a run.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()

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
    command = [sys.executable, "-I", "-S", str(_BUSY)]
    with ExitStack() as stack:
        for _ in range(count):
            # A group of its own: no key pressed in the terminal ends it in the middle of a run.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            stack.enter_context(process)
            stack.callback(process.kill)
        yield

"""Steps that wait for their test: what happens between two of them has all the time it needs."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import pytest

from server.engine.engine import Engine
from server.model.batch import Item
from server.model.runner import Forward


@contextmanager
def paced(engine: Engine) -> Generator[Callable[[int], None]]:
    """Hold an engine's steps back; what this yields lets so many more of them compute."""
    allowed, forward = threading.Semaphore(0), engine.runner.forward

    def step(items: Sequence[Item]) -> Forward:
        allowed.acquire()
        return forward(items)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine.runner, "forward", step)
            yield allowed.release
    finally:
        # No step is held from now on but the one that may be already.
        allowed.release()

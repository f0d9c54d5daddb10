"""Steps that wait for their test, or take long: what happens meanwhile has the time it needs."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from server.engine.engine import Engine
from server.engine.pace import Pace
from server.engine.sequence import Sequence as Row
from server.model.batch import Item
from server.model.runner import Forward
from tests.server.engine.engines import until

T = TypeVar("T")


class Steps:
    """Lets so many more steps compute when it is called; `handed` are the rows that came."""

    def __init__(self, engine: Engine) -> None:
        self.handed: list[Row] = []
        self._scheduler = engine.core.scheduler
        self._more = threading.Condition()
        self._left = 0

    def __call__(self, count: int) -> None:
        with self._more:
            self._left += count
            self._more.notify_all()

    def begin(self, rows: int) -> None:
        """Wait for so many rows, and let no more steps compute than it takes to begin them all.

        It blocks: an event loop calls it in a thread.
        """
        while len(self.handed) < rows:
            time.sleep(0.001)
        while sum(each in self._scheduler.running for each in self.handed) < rows:
            # The one that is let go may have been decided on before the last row came.
            if not self._left:
                self(1)
            time.sleep(0.001)
        # That they have begun is told once they have computed.
        self(1)

    def take(self) -> None:
        """Wait for leave to compute a step."""
        with self._more:
            self._more.wait_for(lambda: self._left > 0)
            self._left -= 1


@contextmanager
def paced(engine: Engine) -> Generator[Steps]:
    """Hold an engine's steps back; what this yields lets so many more of them compute.

    The first of them may be of rows that were given up before. For how long they are held tells the
    engine nothing of its pace.
    """
    steps, forward, submit = Steps(engine), engine.runner.forward, engine.core.submit

    def step(items: Sequence[Item]) -> Forward:
        steps.take()
        return forward(items)

    def handed(rows: Iterable[Row]) -> None:
        taken = list(rows)
        submit(taken)
        steps.handed += taken

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine.runner, "forward", step)
            patch.setattr(engine.core, "submit", handed)
            patch.setattr(engine.core.pace, "took", lambda *_: None)
            yield steps
    finally:
        # No step is held from now on but the one that may be already.
        steps(1)


async def together(engine: Engine, *asked: Coroutine[Any, Any, T]) -> list[T]:
    """Ask for all of these, of a row each, and let no step end before the core has them all."""
    with paced(engine) as steps:
        answers = [asyncio.ensure_future(each) for each in asked]
        # Who is refused is not to come.
        await until(lambda: len(steps.handed) + sum(each.done() for each in answers) >= len(asked))
    return await asyncio.gather(*answers)


@contextmanager
def slowed(engine: Engine) -> Generator[None]:
    """Let every step take a twentieth of a second more: what runs goes on, whoever is late."""
    forward = engine.runner.forward

    def step(items: Sequence[Item]) -> Forward:
        time.sleep(0.05)
        return forward(items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.runner, "forward", step)
        yield


def step_takes(engine: Engine, seconds: float) -> None:
    """Let an engine believe so, and that a thousand rows of a prompt take as long."""
    for _ in range(300):
        Pace.took(engine.core.pace, seconds, 1000, 1)
    # Let go of nothing, which makes it forecast anew.
    engine._admission.drop(())

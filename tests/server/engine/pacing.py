"""Steps that wait for their test, or take long: what happens meanwhile has the time it needs."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
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


@contextmanager
def paced(engine: Engine) -> Generator[Callable[[int], None]]:
    """Hold an engine's steps back; what this yields lets so many more of them compute.

    For how long they are held tells the engine nothing of its pace.
    """
    allowed, forward = threading.Semaphore(0), engine.runner.forward

    def step(items: Sequence[Item]) -> Forward:
        allowed.acquire()
        return forward(items)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine.runner, "forward", step)
            patch.setattr(engine.core.pace, "took", lambda *_: None)
            yield allowed.release
    finally:
        # No step is held from now on but the one that may be already.
        allowed.release()


async def together(engine: Engine, *asked: Coroutine[Any, Any, T]) -> list[T]:
    """Ask for all of these, of a row each, and let no step end before the core has them all."""
    submit, handed = engine.core.submit, list[Row]()

    def noted(rows: Iterable[Row]) -> None:
        handed.extend(rows)
        submit(handed[-1:])

    with paced(engine), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.core, "submit", noted)
        answers = [asyncio.ensure_future(each) for each in asked]
        # Who is refused is not to come.
        await until(lambda: len(handed) + sum(each.done() for each in answers) >= len(answers))
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

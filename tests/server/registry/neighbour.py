"""A server of a store that lives on in a process of its own, while others beside it are killed."""

import os
import select
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NoReturn

from deltas.errors import PolydeltaError
from server.registry.names import TaskName, shared
from server.registry.registry import Registry
from tests.server.registry.prompts import number_of

NAME = "neighbour"


class Neighbour:
    """Changes its own task and reads all others, except while it rests.

    It is to be made before the store's database is opened in this process: one that has it open
    is not to be forked.
    """

    def __init__(self, opened: Callable[[], Registry], sources: list[Path]) -> None:
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self._orders)
            _live(opened, sources, orders, answers)
        os.close(orders)
        os.close(answers)

    def wake(self) -> None:
        os.write(self._orders, b"w")

    def rest(self) -> None:
        """Return once it has seen all that there is and changes nothing more."""
        os.write(self._orders, b"r")
        assert os.read(self._answers, 1) == b"r", "the neighbour failed"

    def end(self) -> None:
        os.write(self._orders, b"e")
        assert os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]) == 0


def _live(
    opened: Callable[[], Registry], sources: list[Path], orders: int, answers: int
) -> NoReturn:
    try:
        registry, random = opened(), Random(1)
        while (order := os.read(orders, 1)) in (b"w", b"r"):
            while order == b"w" and not select.select([orders], [], [], 0)[0]:
                _work(registry, sources, random)
            if order == b"r":
                registry.look()
                registry.settle()
                os.write(answers, b"r")
        registry.close()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _work(registry: Registry, sources: list[Path], random: Random) -> None:
    number = random.randrange(len(sources))
    registry.put(shared(NAME), sources[number])
    assert _read(registry, shared(NAME)) == number
    registry.look()
    for task in registry.all():
        # What the other server has just removed cannot be read.
        with suppress(PolydeltaError):
            _read(registry, shared(task.name))


def _read(registry: Registry, name: TaskName) -> int:
    lease = registry.lease(name)
    try:
        return number_of(registry.load(lease.version.ref))
    finally:
        lease.release()

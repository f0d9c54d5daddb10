"""The tasks that a measurement mixes: those of the server, and synthetic ones where too few."""

import tempfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from polydelta_client import Polydelta, PolydeltaError, Task
from server.bench.errors import BenchError
from server.settings import Settings


@contextmanager
def tasks_for(url: str, base: str, kinds: Sequence[str], count: int) -> Generator[list[Task]]:
    """Yield `count` generating tasks of a server; what is added for it is removed again.

    `base` is the server's base: synthetic deltas are made to fit it.
    """
    with Polydelta(url) as client:
        there = [task for task in client.tasks.list() if task.type == "generate"][:count]
        added: list[Task] = []
        try:
            if missing := count - len(there):
                _add(client, base, kinds, missing, added)
            yield [*there, *added]
        finally:
            for task in added:
                client.tasks.delete(task.id)


@contextmanager
def registered(url: str, deltas: Mapping[str, Path]) -> Generator[None]:
    """Have a server serve these deltas under their names; they are removed again."""
    with Polydelta(url) as client:
        added: list[Task] = []
        try:
            for name, directory in deltas.items():
                added.append(_put(client, name, directory))
            yield
        finally:
            for task in added:
                client.tasks.delete(task.id)


def count_kinds(tasks: Sequence[Task]) -> dict[str, int]:
    """Count tasks by kind."""
    return dict(Counter(task.kind for task in tasks))


def _add(client: Polydelta, base: str, kinds: Sequence[str], count: int, added: list[Task]) -> None:
    # Only synthetic deltas need Torch.
    from server.bench.synthetic import write_deltas
    from server.build import open_base

    spec = open_base(Settings.gather(base=base, device="cpu")).spec
    if not spec.family.causal:
        raise BenchError(f"The base {spec.name} writes no text, so there are no tokens to count.")
    with tempfile.TemporaryDirectory() as folder:
        for name, directory in write_deltas(spec, kinds, count, Path(folder)):
            added.append(_put(client, name, directory))


def _put(client: Polydelta, name: str, directory: Path) -> Task:
    try:
        return client.tasks.put(name, directory)
    except PolydeltaError as error:
        raise BenchError(f"{name} was refused, is --base right? {error}") from error

"""The tasks that a measurement mixes: those of the server, and synthetic ones where too few."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from polydelta_client import Polydelta, PolydeltaError, Task
from server.bench.errors import BenchError
from server.bench.mix import Mix
from server.settings import Settings


@contextmanager
def tasks_for(
    url: str, base: str, mix: Mix, count: int, done: Callable[[], object]
) -> Generator[list[Task]]:
    """Yield `count` generating tasks of a server; what is added for it is removed again.

    `base` is the server's base: synthetic deltas are made to fit it. `done` follows each of them.
    """
    with Polydelta(url) as client:
        there = [task for task in client.tasks.list() if task.type == "generate"][:count]
        with _served(client, _synthetic(base, mix, count - len(there)), done) as added:
            yield [*there, *added]


@contextmanager
def fresh_tasks(
    url: str, base: str, mix: Mix, count: int, done: Callable[[], object]
) -> Generator[list[Task]]:
    """The same, but no task was there before, so that none was ever asked."""
    with Polydelta(url) as client, _served(client, _synthetic(base, mix, count), done) as added:
        yield added


@contextmanager
def registered(url: str, deltas: Mapping[str, Path]) -> Generator[None]:
    """Have a server serve these deltas under their names; they are removed again."""
    with Polydelta(url) as client, _served(client, deltas.items(), lambda: None):
        yield


def count_kinds(tasks: Sequence[Task]) -> dict[str, int]:
    """Count tasks by kind."""
    return dict(Counter(task.kind for task in tasks))


@contextmanager
def _served(
    client: Polydelta, deltas: Iterable[tuple[str, Path]], done: Callable[[], object]
) -> Generator[list[Task]]:
    added: list[Task] = []
    try:
        for name, directory in deltas:
            added.append(_put(client, name, directory))
            done()
        yield added
    finally:
        for task in added:
            client.tasks.delete(task.id, forever=True)


def _synthetic(base: str, mix: Mix, count: int) -> Iterator[tuple[str, Path]]:
    if not count:
        return
    # Only synthetic deltas need Torch.
    from server.bench.synthetic import write_deltas
    from server.build import open_base

    spec = open_base(Settings.gather(base=base, device="cpu")).spec
    if not spec.family.causal:
        raise BenchError(f"The base {spec.name} writes no text, so there are no tokens to count.")
    yield from write_deltas(spec, mix, count)


def _put(client: Polydelta, name: str, directory: Path) -> Task:
    try:
        return client.tasks.put(name, directory)
    except PolydeltaError as error:
        raise BenchError(f"{name} was refused, is --base right? {error}") from error

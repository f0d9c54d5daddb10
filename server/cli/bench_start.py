"""A server with tasks, as most of `polydelta bench` begins with, told while it is made ready."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeAlias

from polydelta_client import Task
from server.bench.mix import Mix
from server.bench.subject import Subject
from server.cli.printing import err
from server.cli.progress import progress

Tasks: TypeAlias = Callable[
    [str, str, Mix, int, Callable[[], object]], AbstractContextManager[list[Task]]
]
"""`tasks_for` or `fresh_tasks`."""


@contextmanager
def prepared(
    subject: Subject, make: Tasks, mix: Mix, count: int, slots: int, **more: str
) -> Generator[tuple[str, list[Task]]]:
    """The address of a server with so many slots and more settings, and `count` tasks on it."""
    if subject.url is None:
        err.print(f"Starting a server with {subject.base} …")
    with ExitStack() as stack:
        url = stack.enter_context(subject.serve(slots, **more))
        err.print(f"Preparing {count} tasks on {url} …")
        with progress("Preparing", count) as done:
            tasks = stack.enter_context(make(url, subject.base, mix, count, done))
        yield url, tasks

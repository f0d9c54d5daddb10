"""Processes of a test's own that start at once: forked off one that has PyTorch loaded."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

# Nothing computes in the process that is forked: what has does not fork well.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "tests.preloaded"])


@contextmanager
def forked(
    run: Callable[..., None], *given: object, log: Path, variables: Mapping[str, str] | None = None
) -> Generator[BaseProcess]:
    """Run a module's function in a process that writes to a log, killed in the end if it goes on.

    It has the variables that the first of these had, and those given.
    """
    process = FORKS.Process(target=_begin, args=(log, variables or {}, run, given))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _begin(
    log: Path, variables: Mapping[str, str], run: Callable[..., None], given: tuple[object, ...]
) -> None:
    with log.open("wb") as written:
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
    os.environ |= variables
    tempfile.tempdir = None
    run(*given)

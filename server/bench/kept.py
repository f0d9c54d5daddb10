"""Processes that a measurement starts: none outlives it, however it ends."""

import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from server.bench.quota import make_group
from server.system.openmp import users_environment

_KEEPER = Path(__file__).parent / "runners" / "keeper.py"

_Stream: TypeAlias = int | IO[str] | None


@contextmanager
def kept(
    command: Sequence[str],
    *,
    quota: float | None = None,
    variables: Mapping[str, str] | None = None,
    stdin: _Stream = None,
    stdout: _Stream = None,
    stderr: _Stream = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command that ends, with all that it starts, when the context or this process does.

    Yields its keeper, which has its streams and its exit status and ends it when terminated.
    `variables` are added to the user's environment; `quota` is how many processors it may use.
    Raises BenchError where it may be given no quota.
    """
    group = "" if quota is None else str(make_group(quota))
    lifeline, held = os.pipe()
    with os.fdopen(held, "wb") as ours:
        with os.fdopen(lifeline, "rb"):
            # A session of its own: Ctrl-C in the terminal is for us alone, who end it in order.
            keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_KEEPER), str(lifeline), group, *command],
                env=users_environment() | dict(variables or {}),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        try:
            yield keeper
        finally:
            ours.close()
            keeper.wait()

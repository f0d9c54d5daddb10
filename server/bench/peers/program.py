"""A peer without a server: its library in a process of its own, spoken to in lines of JSON."""

import json
import select
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from server.bench.completion import Timing
from server.bench.errors import BenchError, GivenUp
from server.bench.kept import kept
from server.bench.load import Load, Run, requests
from server.bench.process import last_lines
from server.bench.side import Side

_MAIN = Path(__file__).parents[1] / "runners" / "main.py"


class Program(Side):
    """A side whose requests are computed in a process that reads jobs and writes timings.

    A job cannot be taken back: one that is given up ends the process.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], errors: IO[str]) -> None:
        super().__init__(name)
        self._process = process
        self._errors = errors

    def run(self, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]) -> Run:
        """Send the whole load as one job; the process keeps to its concurrency."""
        wanted = list(requests(models, load, seed))
        answer = self.ask(
            {
                "models": [model for model, _ in wanted],
                "prompts": [prompt for _, prompt in wanted],
                "concurrency": load.concurrency,
                "output_tokens": load.output_tokens,
            },
            load.seconds,
        )
        for _ in wanted:
            done()
        timings = [Timing(arrivals, load.output_tokens) for arrivals in answer["arrivals"]]
        return Run(timings, answer["elapsed"], [])

    def ask(self, message: Mapping[str, Any], seconds: float | None = None) -> dict[str, Any]:
        """Send one line and wait for the one that answers it.

        Raises BenchError with the end of the process's output if it stops instead, and GivenUp if
        it takes longer than `seconds`.
        """
        reading, writing = self._process.stdout, self._process.stdin
        assert reading is not None
        assert writing is not None
        try:
            writing.write(json.dumps(message).encode() + b"\n")
            writing.flush()
        except BrokenPipeError:
            pass
        if not select.select([reading], [], [], seconds)[0]:
            self.ended = True
            self._process.terminate()
            self._process.wait()
            raise GivenUp(f"given up after {seconds:g} seconds. The process was ended with it.")
        line = reading.readline()
        if not line:
            raise BenchError(f"{self.name} stopped:\n{last_lines(self._errors)}")
        return json.loads(line)


@contextmanager
def program(
    name: str, python: Path, module: str, setup: Mapping[str, Any], quota: float | None = None
) -> Generator[Program]:
    """Run a module of `runners` under a peer's own interpreter; yields it once it is set up.

    `quota` is how many processors it may use.
    """
    command = [str(python), str(_MAIN), module]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        kept(command, quota=quota, stdin=pipe, stdout=pipe, stderr=errors) as process,
    ):
        try:
            side = Program(name, process, errors)
            side.ask(setup)
            yield side
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

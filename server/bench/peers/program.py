"""A peer without a server: its library in a process of its own, spoken to in lines of JSON."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from server.bench.completion import Timing
from server.bench.errors import BenchError
from server.bench.load import Load, Run, requests
from server.bench.process import last_lines, stop
from server.bench.side import Side

_MAIN = Path(__file__).parents[1] / "runners" / "main.py"


class Program(Side):
    """A side whose requests are computed in a process that reads jobs and writes timings."""

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
            }
        )
        for _ in wanted:
            done()
        timings = [Timing(arrivals, load.output_tokens) for arrivals in answer["arrivals"]]
        return Run(timings, answer["elapsed"], [])

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one line and wait for the one that answers it.

        Raises BenchError with the end of the process's output if it stops instead.
        """
        reading, writing = self._process.stdout, self._process.stdin
        assert reading is not None
        assert writing is not None
        try:
            writing.write(json.dumps(message).encode() + b"\n")
            writing.flush()
        except BrokenPipeError:
            pass
        line = reading.readline()
        if not line:
            raise BenchError(f"{self.name} stopped:\n{last_lines(self._errors)}")
        return json.loads(line)


@contextmanager
def program(name: str, python: Path, module: str, setup: Mapping[str, Any]) -> Generator[Program]:
    """Run a module of `runners` under a peer's own interpreter; yields it once it is set up."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [str(python), str(_MAIN), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            side = Program(name, process, errors)
            side.ask(setup)
            yield side
        finally:
            stop(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

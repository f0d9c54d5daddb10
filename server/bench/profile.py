"""A profile: where the milliseconds of an engine's steps go, and what the machine would allow."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any

from deltas.kernels import Kernels
from server.bench.errors import BenchError
from server.bench.load import Load
from server.bench.speeds import product_speed, reading_speed, take_all
from server.engine import picks
from server.engine.answer import Answer
from server.engine.engine import Engine
from server.engine.request import Request, Sampling
from server.model.runner import Runner

_PARTS = {
    "linear": "projections, with LoRAs",
    "linear_bytes": "projections, with LoRAs",
    "small_rank": "other small-rank deltas",
    "attend": "attention",
    "attend_sources": "attention",
    "ungroup": "attention",
    "place": "attention",
    "add": "norms and gates",
    "add_norm": "norms and gates",
    "activate": "norms and gates",
    "gate": "norms and gates",
}
_AROUND = "Python around the kernels"


@dataclass
class Stopwatch:
    """Seconds by the name of a part; what one part does within another counts for itself alone."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    _open: list[float] = field(default_factory=list[float])
    _undo: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def wrap(self, owner: Any, method: str, part: str) -> None:
        """Measure every call of a method until `unwrap`."""
        function: Callable[..., Any] = getattr(owner, method)

        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._open.append(0.0)
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                elapsed = time.perf_counter() - start
                self.seconds[part] += elapsed - self._open.pop()
                if self._open:
                    self._open[-1] += elapsed

        setattr(owner, method, timed)
        self._undo.append(partial(setattr, owner, method, function))

    def unwrap(self) -> None:
        """Leave everything as it was."""
        while self._undo:
            self._undo.pop()()


@dataclass(frozen=True)
class Profile:
    """Seconds by part over one load, in so many steps and rows.

    `loop` is the processor time of the event loop's thread, which runs beside the steps; `bound`
    is what the same steps' matrix products cannot be faster than on this machine.
    """

    parts: dict[str, float]
    steps: int
    rows: int
    elapsed: float
    loop: float
    bound: float

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return sum(self.parts.values())


async def profile(engine: Engine, tasks: Sequence[str], load: Load, threads: int) -> Profile:
    """Put a load on an engine, its requests going to `tasks` in turn, and see where time goes.

    A first round brings everything in and does not count. Raises BenchError without kernels.
    """
    runner = engine.runner
    kernels = runner.kernels
    if kernels is None:
        raise BenchError("A profile needs the native kernels: see `polydelta doctor`.")
    watch, counted = Stopwatch(), _Counted()
    _instrument(engine, kernels, watch, counted)
    await _drive(engine, tasks, load, seed=1)
    watch.seconds.clear()
    counted.clear()
    replayed = kernels.seconds
    start, processor = time.perf_counter(), time.thread_time()
    await _drive(engine, tasks, load, seed=2)
    loop = time.thread_time() - processor
    elapsed = time.perf_counter() - start
    watch.unwrap()
    for name, end in kernels.seconds.items():
        if (taken := end - replayed[name]) > 0:
            watch.seconds[_PARTS[name]] += taken
            watch.seconds[_AROUND] -= taken
    bound = _Roofline(runner, threads).bound(counted.sizes)
    return Profile(
        dict(watch.seconds), len(counted.sizes), sum(counted.sizes), elapsed, loop, bound
    )


@dataclass
class _Counted:
    """The rows of each step."""

    sizes: list[int] = field(default_factory=list[int])

    def clear(self) -> None:
        self.sizes.clear()


class _Roofline:
    """What a step over so many rows needs at least: reading all weights, or multiplying by them."""

    def __init__(self, runner: Runner, threads: int) -> None:
        matrices = [each.matrix for each in runner.projections]
        self._bytes = sum(matrix.data.nbytes for matrix in matrices)
        self._products = sum(matrix.outputs * matrix.inputs for matrix in matrices)
        # The thread that computes is busy, and every thread has helpers of its own.
        with ThreadPoolExecutor(1, initializer=take_all, initargs=(threads,)) as alone:
            self._reading = alone.submit(reading_speed).result() * 1e9
            self._computing = alone.submit(product_speed, runner.base.dtype).result() * 1e9

    def bound(self, sizes: Sequence[int]) -> float:
        """Seconds for steps of these sizes."""
        reading = self._bytes / self._reading
        return sum(max(reading, 2 * self._products * rows / self._computing) for rows in sizes)


def _instrument(engine: Engine, kernels: Kernels, watch: Stopwatch, counted: _Counted) -> None:
    for operation, part in _PARTS.items():
        if hasattr(kernels, operation):
            watch.wrap(kernels, operation, part)
    watch.wrap(engine.runner, "forward", _AROUND)
    timed = engine.runner.forward

    def count(items: Any) -> Any:
        counted.sizes.append(sum(len(item.tokens) for item in items))
        return timed(items)

    engine.runner.forward = count
    watch.wrap(picks, "sample", "sampling")
    watch.wrap(engine.core.scheduler, "schedule", "scheduling")
    watch.wrap(engine.core, "step", "the rest of a step")


async def _drive(engine: Engine, tasks: Sequence[str], load: Load, seed: int) -> None:
    draw = random.Random(seed)
    sampling = Sampling(max_tokens=load.output_tokens, ignore_eos=True)
    open_requests = asyncio.Semaphore(load.concurrency)

    async def one(number: int, tokens: tuple[int, ...]) -> None:
        task = tasks[number % len(tasks)]
        request = Request(f"profile-{seed}-{number}", task, tokens, sampling, raw=True)
        async with open_requests, await engine.submit(request) as answer:
            await _read(answer)

    async with asyncio.TaskGroup() as group:
        for number in range(load.requests):
            tokens = tuple(draw.choices(range(10, 100), k=load.input_tokens))
            group.create_task(one(number, tokens))


async def _read(answer: Answer) -> None:
    async for _ in answer:
        pass

"""The load: so many requests, so many at once, each of exact length."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import httpx2

from server.bench.completion import Timing
from server.bench.endpoint import Endpoint
from server.bench.errors import BenchError, GivenUp

# Every vocabulary has these ids, and few of them are special tokens.
PROMPT_TOKENS = range(10, 100)
_PROBE_PAUSE = 0.1
# A run has a bound of its own; only a server that is not there is told at once.
_TIMEOUT = httpx2.Timeout(None, connect=5.0)


@dataclass(frozen=True)
class Load:
    """`requests` prompts to answer, `concurrency` at once; lengths in tokens.

    Where a server takes several prompts in one call, `together` of one model are sent so. A run
    that takes longer than `seconds` is given up.
    """

    concurrency: int
    requests: int
    input_tokens: int
    output_tokens: int
    together: int = 1
    seconds: float | None = None

    @property
    def rated(self) -> int:
        """The tokens of a request that its rate counts: the prompt's where the answer is one."""
        return self.output_tokens if self.output_tokens > 1 else self.input_tokens


@dataclass(frozen=True)
class Run:
    """One load's timings, its length and the health answers meanwhile; all in seconds."""

    timings: list[Timing]
    elapsed: float
    health: list[float]

    @property
    def throughput(self) -> float:
        """Output tokens a second."""
        return sum(timing.tokens for timing in self.timings) / self.elapsed


async def drive(
    endpoint: Endpoint, models: Sequence[str], load: Load, seed: str, done: Callable[[], object]
) -> Run:
    """Put a load on a server, its requests going to `models` in turn; `done` follows each one.

    Raises BenchError where a request fails, and GivenUp once it has taken too long: what is still
    asked for is cancelled.
    """
    limits = httpx2.Limits(max_connections=load.concurrency + 1)
    async with httpx2.AsyncClient(base_url=endpoint.url, limits=limits, timeout=_TIMEOUT) as client:
        work = (
            partial(endpoint.ask, client, model, prompts, load.output_tokens)
            for model, prompts in _calls(models, load, seed)
        )
        calls = -(-load.concurrency // load.together)
        health: list[float] = []
        probing = asyncio.create_task(_probe(client, endpoint.health, health))
        start = time.perf_counter()
        try:
            async with asyncio.timeout(load.seconds), asyncio.TaskGroup() as group:
                workers = [group.create_task(_work(work, done)) for _ in range(calls)]
        except* BenchError as failed:
            raise failed.exceptions[0] from None
        except* TimeoutError:
            raise GivenUp(f"given up after {load.seconds:g} seconds.") from None
        finally:
            probing.cancel()
            # Where the server is gone, a request's own failure says so.
            with suppress(asyncio.CancelledError, httpx2.HTTPError):
                await probing
        elapsed = time.perf_counter() - start
    timings = [timing for worker in workers for timing in worker.result()]
    return Run(timings, elapsed, health)


def requests(models: Sequence[str], load: Load, seed: str) -> Iterator[tuple[str, list[int]]]:
    """The model and the prompt of each request; one seed gives one sequence of prompts."""
    # Prompts differ, so that no cache of prompts helps.
    draw = random.Random(seed)
    for number in range(load.requests):
        model = models[number // load.together % len(models)]
        yield model, draw.choices(PROMPT_TOKENS, k=load.input_tokens)


def _calls(models: Sequence[str], load: Load, seed: str) -> Iterable[tuple[str, list[list[int]]]]:
    prompts = requests(models, load, seed)
    while call := list(itertools.islice(prompts, load.together)):
        yield call[0][0], [prompt for _, prompt in call]


async def _work(
    work: Iterable[Callable[[], Awaitable[list[Timing]]]], done: Callable[[], object]
) -> list[Timing]:
    timings: list[Timing] = []
    for ask in work:
        for timing in await ask():
            timings.append(timing)
            done()
    return timings


async def _probe(client: httpx2.AsyncClient, path: str, answers: list[float]) -> None:
    while True:
        start = time.perf_counter()
        await client.get(path)
        answers.append(time.perf_counter() - start)
        await asyncio.sleep(_PROBE_PAUSE)

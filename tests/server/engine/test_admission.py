"""Admission: what the engine turns away, and that it takes what just fits."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from server.engine.engine import Engine
from server.engine.request import Request, Sampling
from server.errors import ContextLengthExceeded, QueueFull
from tests.models import CONTEXT
from tests.server.engine.engines import generate, serving, tiny_base, tiny_engine, tiny_limits
from tests.server.engine.references import Deltas, check_greedy

PROMPT = tuple(range(9, 16))
LIMIT = 8 + 6


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    limits = tiny_limits(max_sequences=8, max_waiting=6)
    async with serving(tiny_engine(tiny_base("llama"), llama[0], tmp_path, limits)) as engine:
        yield engine


async def test_a_full_queue(served: Engine) -> None:
    with pytest.raises(QueueFull):
        await served.submit(Request("many", "base", PROMPT, Sampling(n=LIMIT + 1)))
    endless = Sampling(max_tokens=10_000, ignore_eos=True)
    requests = [Request(f"{at}", "base", PROMPT, endless) for at in range(LIMIT + 3)]
    found = await asyncio.gather(*map(served.submit, requests), return_exceptions=True)
    refused = [each for each in found if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [QueueFull] * 3
    for answer in found:
        if not isinstance(answer, BaseException):
            answer.close()
    assert await generate(served, "again", "base", PROMPT, 2)


@pytest.mark.parametrize(
    ("task", "virtual"), [("base", 0), ("lora", 0), ("prefix", 4), ("prompt", 3), ("p-tuning", 5)]
)
async def test_the_longest_prompt(served: Engine, llama: Deltas, task: str, virtual: int) -> None:
    longest = [9 + at % 90 for at in range(CONTEXT - virtual - 1)]
    with pytest.raises(ContextLengthExceeded, match=f"{len(longest)}"):
        await generate(served, "long", task, [*longest, 9], 1)
    check_greedy(llama[1][task], longest, await generate(served, "fits", task, longest, 9), 1)

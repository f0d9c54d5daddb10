"""The same request gives the same answer, bit for bit, whoever else is served meanwhile."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from deltas.formats import native
from server.engine.engine import Engine
from server.engine.limits import Limits
from server.engine.output import Classified, Embedded, Generated, Output, Tagged, TokenLogprob
from server.engine.request import Request, Sampling
from tests.kernels import needs_kernels
from tests.models import DECODERS, ENCODERS
from tests.samples import classifier, generator
from tests.server.engine.engines import ask, serving, tiny_base, tiny_engine, tiny_limits, words

TOKENS = 12
KINDS = ("lora", "bottleneck", "prefix", "prompt", "ia3")
COPIES = 2

Answer: TypeAlias = tuple[TokenLogprob, ...] | Output

pytestmark = needs_kernels


def deltas(family: str, folder: Path) -> dict[str, Path]:
    """A delta of every kind that generates, if the base does, and one of each with a head."""
    base = tiny_base(family).spec
    found = {f"{kind}-head": classifier(base, ("a", "b", "c"), kind) for kind in KINDS}
    if base.family.causal:
        found |= {kind: generator(kind, base) for kind in KINDS}
    for name, delta in found.items():
        native.write(delta, folder / name, base)
    return {name: folder / name for name in found}


def prompts(tasks: Sequence[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Several inputs for each task and the bare base, of other lengths and beginnings."""
    random = torch.Generator().manual_seed(3)
    asked = [task for task in ("base", *tasks) for _ in range(COPIES)]
    lengths = torch.randint(1, 60, (len(asked),), generator=random).tolist()
    return [
        (task, tuple(torch.randint(4, 120, (length,), generator=random).tolist()))
        for task, length in zip(asked, lengths, strict=True)
    ]


async def answer(engine: Engine, number: int, task: str, prompt: Sequence[int]) -> Answer:
    sampling = Sampling(max_tokens=TOKENS, ignore_eos=True, logprobs=3)
    (output,) = await ask(engine, Request(f"{task} {number}", task, words(prompt), sampling))
    assert isinstance(output, Generated | Classified | Tagged | Embedded)
    return (output.logprobs or ()) if isinstance(output, Generated) else output


async def alone(engine: Engine, asked: Sequence[tuple[str, tuple[int, ...]]]) -> list[Answer]:
    return [await answer(engine, at, *each) for at, each in enumerate(asked)]


async def at_once(engine: Engine, asked: Sequence[tuple[str, tuple[int, ...]]]) -> list[Answer]:
    return await asyncio.gather(*(answer(engine, at, *each) for at, each in enumerate(asked)))


PLANS = {
    "at once": tiny_limits(max_deltas=16),
    "by five threads": tiny_limits(max_deltas=16, threads=5),
    "in chunks of five": tiny_limits(max_deltas=16, max_batch_tokens=5),
    "in two slots": tiny_limits(max_deltas=2, threads=2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", DECODERS)
async def test_a_decoders_answers(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    directories = deltas(family, tmp_path)
    asked = prompts(list(directories))

    def engine(name: str, limits: Limits) -> Engine:
        return tiny_engine(tiny_base(family, dtype), directories, tmp_path / name, limits)

    async with serving(engine("alone", tiny_limits(max_deltas=16))) as lonely:
        expected = await alone(lonely, asked)
        assert await alone(lonely, asked) == expected, "from the prefix cache"
        stats = lonely.stats()
        assert 0 < stats.prefix_hits < stats.prefix_queries
    for name, limits in PLANS.items():
        async with serving(engine(name, limits)) as company:
            assert await at_once(company, asked) == expected, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ENCODERS)
async def test_an_encoders_answers(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    directories = deltas(family, tmp_path)
    asked = prompts(list(directories))
    limits = tiny_limits(max_deltas=16, threads=3)
    engine = tiny_engine(tiny_base(family, dtype), directories, tmp_path / "store", limits)
    async with serving(engine):
        assert await at_once(engine, asked) == await alone(engine, asked)

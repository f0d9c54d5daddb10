"""Prompts are judged as the reference library does: in chunks, in company, after preemption."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import torch

from server.engine.engine import Engine
from server.engine.request import Request, Sampling
from server.engine.shown_prompt import ShownPrompt
from tests.server.engine.engines import cache_of, serving, tiny_base, tiny_engine, tiny_limits
from tests.server.engine.references import TOLERANCE, Deltas, Reference

TASKS = ("base", "lora", "bottleneck", "ia3", "prefix", "prompt")
PROMPT = torch.randint(3, 120, (53,), generator=torch.Generator().manual_seed(5)).tolist()
JUDGING = Sampling(max_tokens=4, ignore_eos=True, prompt_logprobs=3)


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    base = tiny_base("llama")
    # Chunks of 7 rows, and room for about three of the sequences below: others are preempted.
    limits = tiny_limits(max_batch_tokens=7, kv_cache_bytes=cache_of(base, 200))
    async with serving(tiny_engine(base, llama[0], tmp_path, limits)) as engine:
        yield engine


async def judged(engine: Engine, task: str, name: str, sampling: Sampling = JUDGING) -> ShownPrompt:
    async with await engine.submit(Request(name, task, tuple(PROMPT), sampling)) as answer:
        await answer.outputs()
        return answer.prompt


def check(reference: Reference, prompt: ShownPrompt) -> None:
    rows = reference(torch.tensor(PROMPT))[-len(PROMPT) : -1].log_softmax(dim=-1)
    assert [each.token for each in prompt.judged] == PROMPT[1:]
    expected = rows.gather(1, torch.tensor(PROMPT[1:])[:, None])
    found = torch.tensor([each.logprob for each in prompt.judged])
    torch.testing.assert_close(found, expected[:, 0], rtol=0, atol=TOLERANCE)
    ranks = 1 + (rows > expected).sum(dim=-1)
    assert [each.rank for each in prompt.judged] == ranks.tolist()
    likeliest = rows.topk(3).indices.tolist()
    assert [[token for token, _ in each.top] for each in prompt.judged] == likeliest


async def test_mixed_prompts_are_judged_as_the_references_judge_them(
    served: Engine, llama: Deltas
) -> None:
    found = await asyncio.gather(*(judged(served, task, task) for task in TASKS))
    for task, prompt in zip(TASKS, found, strict=True):
        check(llama[1][task], prompt)


async def test_what_the_prefix_cache_holds_is_judged_too(served: Engine, llama: Deltas) -> None:
    plain = Sampling(max_tokens=4, ignore_eos=True)
    assert not (await judged(served, "lora", "plain", plain)).judged
    check(llama[1]["lora"], await judged(served, "lora", "again"))


async def test_many_choices_judge_their_prompt_once(served: Engine, llama: Deltas) -> None:
    several = Sampling(max_tokens=4, ignore_eos=True, prompt_logprobs=3, n=3, temperature=1)
    check(llama[1]["base"], await judged(served, "base", "several", several))


async def test_a_prompt_alone_is_read_without_a_text(served: Engine, llama: Deltas) -> None:
    reading = Sampling(max_tokens=0, prompt_logprobs=3)
    async with await served.submit(Request("x", "ia3", tuple(PROMPT), reading)) as answer:
        (output,) = await answer.outputs()
        check(llama[1]["ia3"], answer.prompt)
        assert answer.usage.completion_tokens == 0
    assert (getattr(output, "text", None), getattr(output, "tokens", None)) == ("", ())

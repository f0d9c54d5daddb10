"""The prefix cache: what is reused changes no answer, and never crosses versions or salts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from deltas.formats import native
from server.engine.engine import Engine
from server.engine.output import Generated, TokenLogprob
from server.engine.request import Request, Sampling
from server.errors import RowFailed
from server.model.cache import BLOCK
from server.registry.names import shared
from tests.server.engine.engines import (
    ask,
    cache_of,
    generate_all,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    until,
)
from tests.server.engine.flaws import classifier, overflowing
from tests.server.engine.pacing import slowed
from tests.server.engine.references import TOLERANCE, Deltas, check_greedy

TASKS = ("base", "lora", "bottleneck", "ia3", "prefix", "prompt", "p-tuning")
PROMPT = torch.randint(3, 120, (53,), generator=torch.Generator().manual_seed(5)).tolist()
TOKENS = 20
GREEDY = Sampling(max_tokens=TOKENS, ignore_eos=True, logprobs=0)
FOREVER = Sampling(max_tokens=10_000, ignore_eos=True)


@dataclass(frozen=True)
class Found:
    """An answer and how many of its prompt's tokens were found."""

    tokens: tuple[TokenLogprob, ...]
    cached: int


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    async with serving(tiny_engine(tiny_base("llama"), llama[0], tmp_path)) as engine:
        yield engine


async def find(engine: Engine, task: str, prompt: Sequence[int] = PROMPT, salt: str = "") -> Found:
    """A task's greedy continuation; the engine counts what its answer says."""
    before = engine.stats()
    request = Request("x", task, tuple(prompt), GREEDY, cache_salt=salt)
    async with await engine.submit(request) as answer:
        (output,) = await answer.outputs()
    assert isinstance(output, Generated)
    assert engine.stats().prefix_queries == before.prefix_queries + len(prompt)
    assert engine.stats().prefix_hits == before.prefix_hits + answer.usage.cached_tokens
    return Found(output.logprobs or (), answer.usage.cached_tokens)


def findable(engine: Engine, task: str, tokens: int) -> int:
    """How many of a text's first tokens fill whole blocks behind what the delta puts first."""
    extent = engine.registry.get(shared(task)).active.extent
    first = extent.cached + extent.rows
    return (first + tokens) // BLOCK * BLOCK - first


@pytest.mark.parametrize("task", TASKS)
async def test_a_reused_beginning_changes_nothing(served: Engine, llama: Deltas, task: str) -> None:
    cold = await find(served, task)
    again = await find(served, task)
    check_greedy(llama[1][task], PROMPT, cold.tokens, TOKENS)
    check_greedy(llama[1][task], PROMPT, again.tokens, TOKENS)
    assert [token.id for token in again.tokens] == [token.id for token in cold.tokens]
    assert [token.logprob for token in again.tokens] == pytest.approx(
        [token.logprob for token in cold.tokens], abs=TOLERANCE
    )
    assert (cold.cached, again.cached) == (0, findable(served, task, len(PROMPT) - 1))
    # Another end, then what was generated as part of a longer prompt.
    other = [*PROMPT[:40], *range(30, 50)]
    longer = [*PROMPT, *(token.id for token in cold.tokens), 7]
    for prompt, common in ((other, 40), (longer, len(longer) - 2)):
        found = await find(served, task, prompt)
        check_greedy(llama[1][task], prompt, found.tokens, TOKENS)
        assert found.cached == findable(served, task, common)


async def test_tasks_in_one_batch_reuse_their_own(served: Engine, llama: Deltas) -> None:
    prompts = dict.fromkeys(TASKS, PROMPT)
    for _ in range(2):
        for task, answer in (await generate_all(served, prompts, TOKENS)).items():
            check_greedy(llama[1][task], PROMPT, answer, TOKENS)
    hits = sum(findable(served, task, len(PROMPT) - 1) for task in TASKS)
    assert served.stats().prefix_hits == hits
    await until(lambda: served.stats().cache_usage == 0)


async def test_a_replaced_delta_finds_nothing(served: Engine, llama: Deltas) -> None:
    for kind in ("lora", "ia3"):
        await asyncio.to_thread(served.registry.put, shared("moving"), llama[0][kind])
        for cached in (0, 48):
            # The task of the same delta under another name is another matter.
            salt = "moving"
            found = await find(served, "moving", salt=salt)
            check_greedy(llama[1][kind], PROMPT, found.tokens, TOKENS)
            assert found.cached == cached
    await asyncio.to_thread(served.registry.put, shared("moving"), llama[0]["lora"])
    found = await find(served, "moving", salt="moving")
    check_greedy(llama[1]["lora"], PROMPT, found.tokens, TOKENS)
    assert found.cached == 48


async def test_salts_share_nothing(served: Engine) -> None:
    for salt in ("", "one", "other"):
        assert (await find(served, "base", salt=salt)).cached == 0
    for salt in ("", "one", "other"):
        assert (await find(served, "base", salt=salt)).cached == 48


async def test_running_sequences_share_what_is_computed(served: Engine, llama: Deltas) -> None:
    with slowed(served):
        first = await served.submit(Request("first", "lora", tuple(PROMPT), FOREVER))
        async with first:
            async for _ in first:
                break
            usage = served.stats().cache_usage
            second = await served.submit(Request("second", "lora", tuple(PROMPT), GREEDY))
            async with second:
                async for _ in second:
                    break
                assert second.usage.cached_tokens == 48
                assert served.stats().running == 2
    # Both have gone, and what the first had computed is there for a third.
    found = await find(served, "lora")
    check_greedy(llama[1]["lora"], PROMPT, found.tokens, TOKENS)
    assert found.cached == 48
    assert usage > 0
    await until(lambda: served.stats().cache_usage == 0)


async def test_the_first_of_several_choices_computes_for_all(llama: Deltas, tmp_path: Path) -> None:
    limits = tiny_limits(max_batch_tokens=len(PROMPT))
    sampling = Sampling(max_tokens=4, ignore_eos=True, n=3)
    async with serving(tiny_engine(tiny_base("llama"), llama[0], tmp_path, limits)) as engine:
        async with await engine.submit(Request("x", "base", tuple(PROMPT), sampling)) as answer:
            await answer.outputs()
        assert (engine.stats().prefix_queries, engine.stats().prefix_hits) == (3 * 53, 2 * 48)
        # What a request does for itself is no discount.
        assert answer.usage.cached_tokens == 0


async def test_what_was_used_last_is_kept(llama: Deltas, tmp_path: Path) -> None:
    base = tiny_base("llama")
    prompts = [[at, *PROMPT[1:]] for at in range(3)]
    # Each takes five blocks: there is room for two, and a third pushes out the older of them.
    limits = tiny_limits(kv_cache_bytes=cache_of(base, 10 * BLOCK))
    async with serving(tiny_engine(base, llama[0], tmp_path, limits)) as engine:
        whole: list[bool] = []
        for at in (0, 1, 0, 2, 0, 1, 0, 2, 2):
            found = await find(engine, "prefix", prompts[at])
            check_greedy(llama[1]["prefix"], prompts[at], found.tokens, TOKENS)
            whole.append(found.cached == findable(engine, "prefix", len(PROMPT) - 1))
        assert whole == [False, False, True, False, True, False, True, False, True]


@pytest.mark.parametrize("tokens", [96, 160])
async def test_a_cache_that_is_too_small(llama: Deltas, tmp_path: Path, tokens: int) -> None:
    base = tiny_base("llama")
    limits = tiny_limits(kv_cache_bytes=cache_of(base, tokens), max_batch_tokens=7)
    async with serving(tiny_engine(base, llama[0], tmp_path, limits)) as engine:
        for cut in (53, 40, 50):
            prompts = dict.fromkeys(TASKS, PROMPT[:cut])
            for task, answer in (await generate_all(engine, prompts, TOKENS)).items():
                check_greedy(llama[1][task], prompts[task], answer, TOKENS)
        await until(lambda: engine.stats().cache_usage == 0)


async def test_what_failed_is_not_found(llama: Deltas, tmp_path: Path) -> None:
    base = tiny_base("llama")
    native.write(overflowing(base.spec), tmp_path / "overflowing", base.spec)
    directories = {**llama[0], "overflowing": tmp_path / "overflowing"}
    # Most of the prompt is computed in steps that do not fail.
    limits = tiny_limits(max_batch_tokens=16)
    async with serving(tiny_engine(base, directories, tmp_path / "store", limits)) as engine:
        impossible = Sampling(logprobs=10**6)
        for task in ("overflowing", "lora", "overflowing", "lora"):
            with pytest.raises(RowFailed):
                await ask(engine, Request("x", task, tuple(PROMPT), impossible))
        assert engine.stats().prefix_queries == 4 * len(PROMPT)
        found = await find(engine, "lora")
        check_greedy(llama[1]["lora"], PROMPT, found.tokens, TOKENS)
        assert engine.stats().prefix_hits == 0


async def test_heads_and_encoders_do_not_ask(tmp_path: Path) -> None:
    for family in ("llama", "bert"):
        base = tiny_base(family)
        native.write(classifier(base.spec, 0.1), tmp_path / f"{family}-head", base.spec)
        tasks = {"head": tmp_path / f"{family}-head"}
        async with serving(tiny_engine(base, tasks, tmp_path / family)) as engine:
            answers = [await ask(engine, Request("x", "head", tuple(PROMPT))) for _ in range(2)]
            assert answers[0] == answers[1]
            assert engine.stats().prefix_queries == 0


async def test_the_cache_can_be_off(llama: Deltas, tmp_path: Path) -> None:
    limits = tiny_limits(prefix_cache=False)
    async with serving(tiny_engine(tiny_base("llama"), llama[0], tmp_path, limits)) as engine:
        for _ in range(2):
            request = Request("x", "base", tuple(PROMPT), GREEDY)
            async with await engine.submit(request) as answer:
                await answer.outputs()
            assert answer.usage.cached_tokens == 0
        assert engine.stats().prefix_queries == 0

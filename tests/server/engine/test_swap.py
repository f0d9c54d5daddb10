"""Hot swap: a task is replaced and removed while requests run, and none notices."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deltas.delta import DeltaRef
from server.engine.engine import Engine
from server.engine.output import Generated, TokenLogprob
from server.engine.request import Request, Sampling
from server.errors import TaskNotFound
from server.registry.names import shared
from server.registry.retention import Retention
from tests.server.engine.engines import (
    generate,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    until,
)
from tests.server.engine.pacing import paced
from tests.server.engine.references import Deltas, check_greedy

TASK = "moving"
PROMPT = tuple(range(9, 19))
TOKENS = 10
WORKERS = 6
# Kinds of every extent, and one that comes back.
VERSIONS = ("lora", "prefix", "prompt", "bottleneck", "lora", "ia3", "p-tuning")
GREEDY = Sampling(max_tokens=TOKENS, ignore_eos=True, logprobs=0)


@dataclass
class Traffic:
    """Workers that ask one task over and over; what each answer was, by the version it named."""

    engine: Engine
    stopped: bool = False
    answers: list[tuple[DeltaRef, tuple[TokenLogprob, ...]]] = field(
        default_factory=list[tuple[DeltaRef, tuple[TokenLogprob, ...]]]
    )

    async def work(self, worker: int) -> None:
        number = 0
        while not self.stopped:
            number += 1
            request = Request(f"{worker}/{number}", TASK, PROMPT, GREEDY)
            async with await self.engine.submit(request) as answer:
                (output,) = await answer.outputs()
            assert isinstance(output, Generated)
            assert output.logprobs is not None
            self.answers.append((answer.version.ref, output.logprobs))

    async def more(self, count: int) -> None:
        """Wait for more answers."""
        wanted = len(self.answers) + count
        await until(lambda: len(self.answers) >= wanted)


@asynccontextmanager
async def traffic(engine: Engine) -> AsyncGenerator[Traffic]:
    """Workers for as long as the context lasts; fails if one of them fails."""
    load = Traffic(engine)
    async with asyncio.TaskGroup() as workers:
        for worker in range(WORKERS):
            workers.create_task(load.work(worker))
        yield load
        load.stopped = True


@pytest.fixture
def engine(llama: Deltas, tmp_path: Path) -> Engine:
    tasks = {TASK: llama[0]["ia3"], "steady": llama[0]["lora"]}
    limits = tiny_limits(max_batch_tokens=16, max_deltas=3)
    # What is replaced or removed goes at once, but for what requests hold.
    retention = Retention(versions=1, removed_hours=0)
    return tiny_engine(tiny_base("llama"), tasks, tmp_path, limits, retention=retention)


async def stored(engine: Engine, folder: Path) -> set[str]:
    """The digests of the deltas that a store holds once it has removed what it is to remove."""

    def found() -> set[str]:
        engine.registry.settle()
        return {path.name for path in folder.glob("blobs/*")}

    return await asyncio.to_thread(found)


async def test_each_answer_is_one_versions(llama: Deltas, engine: Engine, tmp_path: Path) -> None:
    directories, answers = llama
    registry = engine.registry
    kinds = {registry.get(shared(TASK)).active.ref: "ia3"}
    overlaps = 0
    async with serving(engine), traffic(engine) as load:
        for kind in VERSIONS:
            await load.more(WORKERS)
            with paced(engine):
                task, changed = await asyncio.to_thread(
                    registry.put, shared(TASK), directories[kind]
                )
                version = task.active
                kinds[version.ref] = kind
                assert changed
                overlaps += len(await stored(engine, tmp_path)) > len(registry.all())
            async with await engine.submit(Request(kind, TASK, PROMPT)) as later:
                assert later.version.ref == version.ref
        check_greedy(answers["lora"], PROMPT, await generate(engine, "x", "steady", PROMPT, 40), 40)
        await load.more(2 * WORKERS)
        load.stopped = True
        await until(lambda: not engine.stats().running)
        # Replaced versions have left the slots, host memory and the store.
        active = registry.get(shared(TASK))
        assert active.versions == (active.active,)
        await until(
            lambda: all(
                engine.residence(ref) == "disk" for ref in kinds if ref != active.active.ref
            )
        )
        assert await stored(engine, tmp_path) == {each.active.ref.digest for each in registry.all()}
    # Swaps did meet requests under way, and every version answered.
    assert overlaps
    assert Counter(kinds[ref] for ref, _ in load.answers).keys() == set(kinds.values())
    for ref, answer in load.answers:
        check_greedy(answers[kinds[ref]], PROMPT, answer, TOKENS)


async def test_going_back_under_traffic(llama: Deltas, tmp_path: Path) -> None:
    directories, answers = llama
    limits = tiny_limits(max_batch_tokens=16, max_deltas=3)
    engine = tiny_engine(tiny_base("llama"), {TASK: directories["ia3"]}, tmp_path, limits)
    registry = engine.registry
    first = registry.get(shared(TASK)).active
    second = registry.put(shared(TASK), directories["lora"])[0].active
    kinds = {first.ref: "ia3", second.ref: "lora"}
    async with serving(engine), traffic(engine) as load:
        for turn, version in enumerate((first, second) * 4):
            await load.more(WORKERS)
            await asyncio.to_thread(registry.versions.activate, shared(TASK), str(version.number))
            # It is where it was left, and the very next request is answered by it.
            assert turn < 2 or engine.residence(version.ref) != "disk"
            async with await engine.submit(Request("next", TASK, PROMPT)) as later:
                assert later.version.ref == version.ref
                await later.outputs()
    for ref, answer in load.answers:
        check_greedy(answers[kinds[ref]], PROMPT, answer, TOKENS)
    assert {ref for ref, _ in load.answers} == kinds.keys()


async def test_requests_outlive_their_task(llama: Deltas, engine: Engine, tmp_path: Path) -> None:
    directories, answers = llama
    ref = engine.registry.get(shared(TASK)).active.ref
    async with serving(engine):
        with paced(engine) as steps:
            running = [
                asyncio.create_task(generate(engine, f"{index}", TASK, PROMPT, 60))
                for index in range(WORKERS)
            ]
            await asyncio.to_thread(steps.begin, WORKERS)
            await until(lambda: engine.stats().running == WORKERS)
            await asyncio.to_thread(engine.registry.remove, shared(TASK))
            with pytest.raises(TaskNotFound):
                await engine.submit(Request("late", TASK, PROMPT))
            assert ref.digest in await stored(engine, tmp_path)
        for answer in await asyncio.gather(*running):
            check_greedy(answers["ia3"], PROMPT, answer, 60)
        await until(lambda: engine.residence(ref) == "disk")
        steady = engine.registry.get(shared("steady")).active.ref
        assert await stored(engine, tmp_path) == {steady.digest}
        # The name is free for another delta.
        await asyncio.to_thread(engine.registry.put, shared(TASK), directories["prefix"])
        check_greedy(answers["prefix"], PROMPT, await generate(engine, "x", TASK, PROMPT, 9), 9)

"""Endings: abandoned requests, a core that dies and servers that stop leave nothing behind."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from server.engine.engine import Engine
from server.engine.request import Request, Sampling
from server.engine.scheduler import Scheduled, Scheduler
from server.errors import EngineDead, ShuttingDown
from server.registry.names import shared
from tests.server.engine.engines import (
    ask,
    generate,
    serving,
    tiny_base,
    tiny_engine,
    until,
    words,
)
from tests.server.engine.pacing import slowed
from tests.server.engine.references import Deltas, check_greedy

PROMPT = tuple(range(9, 16))
FOREVER = Sampling(max_tokens=10_000, ignore_eos=True)


@pytest.fixture
def engine(llama: Deltas, tmp_path: Path) -> Engine:
    return tiny_engine(tiny_base("llama"), llama[0], tmp_path)


@pytest.fixture
async def served(engine: Engine) -> AsyncGenerator[Engine]:
    async with serving(engine):
        yield engine


async def test_an_abandoned_request_leaves_nothing(served: Engine, llama: Deltas) -> None:
    registry = served.registry
    ref = registry.get(shared("lora")).active.ref
    bystander = asyncio.create_task(generate(served, "bystander", "ia3", PROMPT, 150))
    with slowed(served):
        async with await served.submit(Request("gone", "lora", PROMPT, FOREVER)) as answer:
            async for _ in answer:
                break
            assert "lora" in served.stats().running_tasks
            registry.remove(shared("lora"))
            assert served.residence(ref) == "device"
    assert "lora" not in served.stats().running_tasks
    await until(lambda: served.residence(ref) == "disk")
    check_greedy(llama[1]["ia3"], PROMPT, await bystander, 150)
    await until(lambda: served.stats().cache_usage == 0)


async def test_the_cores_death(
    served: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def die(scheduler: Scheduler) -> list[Scheduled]:
        raise ArithmeticError

    with slowed(served):
        waiting = [
            asyncio.create_task(ask(served, Request(f"{at}", "base", PROMPT, FOREVER)))
            for at in range(10)
        ]
        await until(lambda: served.stats().running > 0)
        monkeypatch.setattr(Scheduler, "schedule", die)
    for task in waiting:
        with pytest.raises(EngineDead):
            await task
    assert (served.alive, served.ready) == (False, False)
    with pytest.raises(EngineDead):
        await served.submit(Request("late", "base", PROMPT))


async def test_stopping_lets_requests_end(engine: Engine, llama: Deltas) -> None:
    await engine.start()
    with slowed(engine):
        running = asyncio.create_task(generate(engine, "x", "prefix", PROMPT, 40))
        await until(lambda: engine.stats().running > 0)
        reading = asyncio.create_task(engine.submit(Request("y", "base", words(PROMPT))))
        await asyncio.sleep(0)
        engine.begin_drain()
    assert not engine.ready
    for late in (reading, engine.submit(Request("z", "base", PROMPT))):
        with pytest.raises(ShuttingDown):
            await late
    await engine.stop(1000)
    check_greedy(llama[1]["prefix"], PROMPT, await running, 40)


async def test_stopping_at_once(engine: Engine) -> None:
    await engine.start()
    with slowed(engine):
        running = asyncio.create_task(ask(engine, Request("x", "prefix", PROMPT, FOREVER)))
        await until(lambda: engine.stats().running > 0)
        await engine.stop(0)
    with pytest.raises(ShuttingDown):
        await running

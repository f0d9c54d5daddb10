"""Failures: whatever goes wrong in one row stays there."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deltas.delta import Delta
from deltas.errors import PolydeltaError
from deltas.formats import native
from server.engine import residency
from server.engine.engine import Engine
from server.engine.request import Request, Sampling
from server.errors import DeltaUnavailable, EngineDead, RowFailed
from server.registry.names import shared
from tests.server.engine.engines import (
    Starts,
    ask,
    digest_of,
    generate,
    generate_all,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
)
from tests.server.engine.flaws import (
    Flawed,
    classifier,
    misplaced,
    misshapen,
    overflowing,
    unreadable,
)
from tests.server.engine.references import Deltas, check_greedy

PROMPT = tuple(range(9, 16))
TOKENS = 24


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    base = tiny_base("llama")
    engine = tiny_engine(base, llama[0], tmp_path / "store", registry=Flawed)
    # What was just put is read from disk all the same, where it may go wrong.
    engine.registry.on_checked = lambda *_: None
    flawed(engine)
    for name, delta in {
        "overflowing": overflowing(base.spec),
        "overflowing-head": classifier(base.spec, 1e38),
        "classifier": classifier(base.spec, 0.1),
    }.items():
        native.write(delta, tmp_path / name, base.spec)
        engine.registry.put(shared(name), tmp_path / name)
    engine.registry.put(shared("broken"), llama[0]["lora"])
    async with serving(engine):
        yield engine


def flawed(engine: Engine, **flaws: Callable[[Delta], Delta]) -> Flawed:
    """Give tasks their flaws and begin to count loads."""
    registry = engine.registry
    assert isinstance(registry, Flawed)
    registry.flaws, registry.loads = flaws, Counter()
    return registry


async def check_others(engine: Engine, llama: Deltas, count: int = TOKENS) -> None:
    """Every sound task and the base, all at once."""
    prompts = {task: [*PROMPT, *range(20, 21 + at)] for at, task in enumerate(llama[1])}
    found = await generate_all(engine, prompts, count)
    for task, answer in found.items():
        check_greedy(llama[1][task], prompts[task], answer, count)


async def check_fails_alone(
    engine: Engine, llama: Deltas, task: str, expected: type[PolydeltaError]
) -> None:
    """A task fails, first in line and again amid the others, which do not notice."""

    async def fail(key: str) -> None:
        with pytest.raises(expected):
            await ask(engine, Request(key, task, PROMPT))

    await asyncio.gather(fail("first"), check_others(engine, llama), fail("last"))
    await check_others(engine, llama, 3)


@pytest.mark.parametrize("task", ["overflowing", "overflowing-head"])
async def test_what_is_not_finite(served: Engine, llama: Deltas, task: str) -> None:
    await check_fails_alone(served, llama, task, RowFailed)


@pytest.mark.parametrize(
    ("task", "flaw", "error"),
    [
        ("broken", misshapen, DeltaUnavailable),
        ("classifier", misshapen, RowFailed),
        ("broken", misplaced, DeltaUnavailable),
        ("broken", unreadable, DeltaUnavailable),
    ],
)
async def test_a_damaged_delta(
    served: Engine,
    llama: Deltas,
    task: str,
    flaw: Callable[[Delta], Delta],
    error: type[PolydeltaError],
) -> None:
    flawed(served, **{task: flaw})
    await check_fails_alone(served, llama, task, error)


async def test_a_crash_in_the_sampler(served: Engine, llama: Deltas) -> None:
    impossible = Sampling(logprobs=10**6)

    async def fail() -> None:
        with pytest.raises(RowFailed):
            await ask(served, Request("impossible", "lora", PROMPT, impossible))

    await asyncio.gather(fail(), check_others(served, llama))


async def test_an_unreadable_delta_is_left_alone_for_a_while(
    served: Engine, monkeypatch: pytest.MonkeyPatch, llama: Deltas
) -> None:
    registry = flawed(served, broken=unreadable)
    for attempt in range(3):
        with pytest.raises(DeltaUnavailable, match="broken"):
            await generate(served, f"{attempt}", "broken", PROMPT, 2)
    assert registry.loads["broken"] == 1
    registry.flaws.clear()
    monkeypatch.setattr(residency.time, "monotonic", lambda: float("inf"))
    check_greedy(llama[1]["lora"], PROMPT, await generate(served, "x", "broken", PROMPT, 5), 5)


async def test_a_delta_that_keeps_crashing_is_left_alone_for_a_while(
    served: Engine, monkeypatch: pytest.MonkeyPatch, llama: Deltas
) -> None:
    served.registry.put(shared("crashing"), llama[0]["prefix"])
    flawed(served, crashing=misshapen)
    for attempt in range(3):
        with pytest.raises(RowFailed):
            await ask(served, Request(f"{attempt}", "crashing", PROMPT))
    with pytest.raises(DeltaUnavailable, match="keeps failing"):
        await ask(served, Request("again", "crashing", PROMPT))
    await check_others(served, llama, 3)
    monkeypatch.setattr(residency.time, "monotonic", lambda: float("inf"))
    with pytest.raises(RowFailed):
        await ask(served, Request("later", "crashing", PROMPT))


async def test_a_step_that_never_ends(llama: Deltas, tmp_path: Path) -> None:
    limits = replace(tiny_limits(), stall_seconds=0.5)
    engine = tiny_engine(tiny_base("llama"), llama[0], tmp_path, limits)
    ends = threading.Event()
    await engine.start()
    # To have nothing to do for longer than a step may last is no fault.
    await asyncio.sleep(2 * limits.stall_seconds)
    assert engine.alive
    engine.runner.forward = lambda items: ends.wait()
    with pytest.raises(EngineDead):
        await ask(engine, Request("stuck", "base", PROMPT))
    assert not engine.alive
    with pytest.raises(EngineDead):
        await engine.submit(Request("later", "base", PROMPT))
    ends.set()
    await engine.stop(0)


async def test_a_broken_observer(llama: Deltas, tmp_path: Path) -> None:
    class Broken(Starts):
        broken = False

        def next_token(self, elapsed: float) -> None:
            if not self.broken:
                self.broken = True
                raise ZeroDivisionError

    engine = tiny_engine(tiny_base("llama"), llama[0], tmp_path, observer=Broken())
    async with serving(engine):
        tasks = ("lora", "base")
        asked = (generate(engine, task, task, PROMPT, 9) for task in tasks)
        answers = dict(
            zip(tasks, await asyncio.gather(*asked, return_exceptions=True), strict=True)
        )
        (failed,) = (task for task in tasks if isinstance(answers[task], RowFailed))
        (other,) = {*tasks} - {failed}
        answer = answers[other]
        assert not isinstance(answer, BaseException)
        check_greedy(llama[1][other], PROMPT, answer, 9)
        assert not engine.stats().running


async def test_the_base_stays_as_it_is(served: Engine, llama: Deltas) -> None:
    before = digest_of(served.runner)
    flawed(served, broken=misshapen)
    await check_fails_alone(served, llama, "broken", DeltaUnavailable)
    await check_fails_alone(served, llama, "overflowing", RowFailed)
    for kind in ("prefix", "bottleneck", "prompt"):
        served.registry.put(shared("swapped"), llama[0][kind])
        await ask(served, Request(kind, "swapped", PROMPT))
    served.registry.remove(shared("swapped"))
    assert digest_of(served.runner) == before

"""Overload: more ask than there are places, and who is let in waits no longer for it."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from math import ceil, inf
from pathlib import Path

import pytest

from server.engine import reader as module
from server.engine.engine import Engine
from server.engine.request import Call, Request, Sampling
from server.engine.sequence import Sequence
from server.errors import DeadlineExceeded, QueueFull
from server.model.batch import Item
from server.model.runner import Forward
from server.registry.names import shared
from tests.server.engine.engines import (
    generate,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    until,
    words,
)
from tests.server.engine.pacing import paced, step_takes
from tests.server.engine.references import Deltas

PLACES, WAITING = 4, 8
PROMPT = tuple(range(9, 16))
ENDLESS = Sampling(max_tokens=10_000, ignore_eos=True)


def tiny(llama: Deltas, store: Path, **limits: float) -> Engine:
    small = {"max_sequences": PLACES, "max_waiting": WAITING, "max_wait": 0.0}
    return tiny_engine(tiny_base("llama"), llama[0], store, tiny_limits(**{**small, **limits}))


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    async with serving(tiny(llama, tmp_path)) as running:
        yield running


def request(name: str, task: str = "base", caller: str = "", **call: float) -> Request:
    return Request(name, task, PROMPT, ENDLESS, call=Call(caller, **call))


class Steps:
    """Counts an engine's steps, and keeps after which each prompt was handed over and read."""

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self.handed: dict[tuple[int, ...], int] = {}
        self.read: dict[tuple[int, ...], int] = {}
        self._forward, self._submit = engine.runner.forward, engine.core.submit
        engine.runner.forward = self
        engine.core.submit = self.submit

    def submit(self, sequences: Iterable[Sequence]) -> None:
        taken = list(sequences)
        self.handed |= {tuple(sequence.tokens): self.count for sequence in taken}
        self._submit(taken)

    def waited(self, prompt: tuple[int, ...]) -> int:
        return self.read[prompt] - self.handed[prompt]

    def __call__(self, items: list[Item]) -> Forward:
        self.count += 1
        self.read |= {tuple(item.tokens): self.count for item in items if len(item.tokens) > 1}
        return self._forward(items)


async def first_tokens(engine: Engine, clients: int, wanted: int) -> list[int]:
    """How many steps the first tokens of the admitted took while so many clients ask."""
    steps, waits = Steps(engine), list[int]()

    async def client(number: int) -> None:
        asked = 0
        while len(waits) < wanted:
            asked += 1
            tokens = 8 + (7 * number + 5 * asked) % 16
            sampling = Sampling(max_tokens=tokens, ignore_eos=True)
            prompt = (9 + number, 9 + asked % 90)
            try:
                taken = await engine.submit(
                    Request(f"{clients}-{number}-{asked}", "base", prompt, sampling)
                )
            except QueueFull as full:
                await asyncio.sleep(full.retry_after)
                continue
            async with taken as answer:
                await answer.outputs()
            waits.append(steps.waited(prompt))

    await asyncio.gather(*map(client, range(clients)))
    return waits


def p99(values: list[int]) -> int:
    return sorted(values)[ceil(0.99 * len(values)) - 1]


async def test_the_admitted_wait_no_longer_under_ten_and_twenty_times_the_load(
    served: Engine,
) -> None:
    alone, ten, twenty = [
        p99(await first_tokens(served, times * PLACES, 200)) for times in (1, 10, 20)
    ]
    assert ten <= 2 * alone
    assert twenty <= 2 * alone


async def test_who_is_refused_finds_a_place_when_told_to_come_again(served: Engine) -> None:
    kept = Sampling(max_tokens=150, ignore_eos=True)
    await asyncio.gather(*(generate(served, f"before-{at}", "base", PROMPT, 150) for at in "abcd"))
    running = [
        await served.submit(Request(f"running-{at}", "base", PROMPT, kept)) for at in range(PLACES)
    ]
    await until(lambda: served.stats().running == PLACES)
    steps = Steps(served)
    found: list[bool] = []

    async def come_again(number: int) -> None:
        with pytest.raises(QueueFull) as refusal:
            await served.submit(Request(f"early-{number}", "base", PROMPT, kept))
        # In steps it is the same on a machine that does other things, too.
        told = refusal.value.retry_after / served.core.pace.step
        assert told < 3 * 150
        then = steps.count + 1.1 * told + 2
        await until(lambda: steps.count > then or not served.stats().running)
        try:
            (await served.submit(Request(f"again-{number}", "base", PROMPT, kept))).close()
            found.append(True)
        except QueueFull:
            found.append(False)

    coming = [asyncio.create_task(come_again(number)) for number in range(PLACES)]
    await asyncio.gather(*(answer.outputs() for answer in running))
    await asyncio.gather(*coming)
    assert found == [True] * PLACES


async def test_each_who_is_refused_is_told_a_later_time(served: Engine) -> None:
    with paced(served):
        answers = [await served.submit(request(f"{at}")) for at in range(PLACES)]
        times: list[float] = []
        for number in range(20):
            with pytest.raises(QueueFull) as refusal:
                await served.submit(request(f"late-{number}"))
            times.append(refusal.value.retry_after)
        assert times == sorted(set(times))
        assert times[-1] <= 60
        for answer in answers:
            answer.close()


async def test_a_refusal_comes_before_its_prompt_is_read(
    served: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with paced(served):
        answers = [await served.submit(request(f"{at}")) for at in range(PLACES)]
        monkeypatch.delattr(module, "build_prompt")
        with pytest.raises(QueueFull):
            await served.submit(Request("text", "base", words(PROMPT)))
        for answer in answers:
            answer.close()


async def test_all_rows_of_a_call_are_taken_with_its_first(served: Engine) -> None:
    call = Call()
    with paced(served):
        for at in range(PLACES + WAITING):
            await served.submit(Request(f"{at}", "base", PROMPT, ENDLESS, call=call))
        with pytest.raises(QueueFull, match="wait already"):
            await served.submit(Request("more", "base", PROMPT, ENDLESS, call=call))


@pytest.mark.parametrize("polite", [("ia3", "flood"), ("lora", "polite")])
async def test_a_flood_keeps_no_other_task_or_caller_from_a_place(
    served: Engine, polite: tuple[str, str]
) -> None:
    task, caller = polite
    for each in ("lora", task):
        # No step is spent on waiting for a delta.
        await generate(served, each, each, PROMPT, 1)
    with paced(served) as steps:
        flood = [await served.submit(request(f"{at}", "lora", "flood")) for at in range(PLACES)]
        with pytest.raises(QueueFull):
            await served.submit(request("too many", "lora", "flood"))
        answer = await served.submit(request("polite", task, caller))
        flood[0].close()
        steps(100)
        assert await anext(aiter(answer))
        with pytest.raises(QueueFull):
            await served.submit(request("again", "lora", "flood"))


async def test_a_full_queue_gives_way_to_those_with_less(llama: Deltas, tmp_path: Path) -> None:
    async with serving(tiny(llama, tmp_path, max_wait=inf)) as served:
        with paced(served) as steps:
            flood = [await served.submit(request(f"{at}", "lora")) for at in range(PLACES)]
            await asyncio.to_thread(steps.begin, PLACES)
            await until(lambda: served.stats().running == PLACES)
            flood += [await served.submit(request(f"late-{at}", "lora")) for at in range(WAITING)]
            with pytest.raises(QueueFull):
                await served.submit(request("one more", "lora"))
            await served.submit(request("polite", "ia3"))
            # The youngest goes, and only it.
            with pytest.raises(QueueFull):
                await flood[-1].outputs()
            assert served.stats().waiting == WAITING
            await served.submit(request("polite too", "base"))
            assert len([answer for answer in flood if answer.open_keys]) == len(flood) - 2


async def test_who_waits_past_a_deadline_is_dropped_and_costs_nothing(
    llama: Deltas, tmp_path: Path
) -> None:
    async with serving(tiny(llama, tmp_path, max_wait=inf)) as served:
        with paced(served) as steps:
            running = [await served.submit(request(f"{at}")) for at in range(PLACES)]
            await asyncio.to_thread(steps.begin, PLACES)
            await until(lambda: served.stats().running == PLACES)
            # It was expected to fit.
            step_takes(served, 0.0)
            late = request("late", "lora", deadline=time.monotonic() + 2.0)
            late.call.admitted.add("lora")
            answer = await served.submit(late)
            assert served.stats().waiting == 1
            with pytest.raises(DeadlineExceeded):
                await answer.outputs()
            assert served.stats().waiting == 0
            ref = served.registry.get(shared("lora")).active.ref
            served.registry.remove(shared("lora"))
            for each in running:
                each.close()
            steps(10)
            await until(lambda: served.residence(ref) == "disk")


async def test_who_runs_at_its_deadline_goes_on(served: Engine) -> None:
    deadline = time.monotonic() + 2.0
    with paced(served) as steps:
        short = Sampling(max_tokens=3, ignore_eos=True)
        call = Call(deadline=deadline)
        answer = await served.submit(Request("runs", "base", PROMPT, short, call=call))
        steps(1)
        await until(lambda: served.stats().running == 1)
        await until(lambda: time.monotonic() > deadline + 0.1)
        steps(10)
        assert await answer.outputs()


async def test_no_answer_in_time_is_told_at_once(llama: Deltas, tmp_path: Path) -> None:
    async with serving(tiny(llama, tmp_path, max_wait=inf)) as served:
        with paced(served):
            for at in range(PLACES):
                await served.submit(request(f"{at}"))
            step_takes(served, 1.0)
            with pytest.raises(QueueFull, match="s that you wait") as refusal:
                await served.submit(request("hurried", deadline=time.monotonic() + 3))
            assert refusal.value.retry_after > 3
            await served.submit(request("patient", deadline=time.monotonic() + 100_000))


async def test_a_slow_moment_locks_nobody_out(served: Engine) -> None:
    for _ in range(20):
        served.core.pace.took(1000.0, 8, 1)
    for number in range(30):
        call = Call(deadline=time.monotonic() + 30)
        quick = Sampling(max_tokens=2, ignore_eos=True)
        async with await served.submit(
            Request(f"{number}", "base", PROMPT, quick, call=call)
        ) as answer:
            assert await answer.outputs()
    assert served.core.pace.step < 200


async def test_who_leaves_while_its_prompt_is_read_leaves_its_place(
    served: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = threading.Event()

    def build_prompt(*_: object, **__: object) -> None:
        gone.wait()

    monkeypatch.setattr(module, "build_prompt", build_prompt)
    reading = [
        asyncio.create_task(served.submit(Request(f"{at}", "lora", "w009"))) for at in range(PLACES)
    ]
    await until(lambda: served.stats().waiting == PLACES)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    gone.set()
    assert served.stats().waiting == 0
    ref = served.registry.get(shared("lora")).active.ref
    served.registry.remove(shared("lora"))
    await until(lambda: served.residence(ref) == "disk")

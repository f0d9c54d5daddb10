"""Admission: what the engine turns away, and that it takes what just fits."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from server.engine import reader
from server.engine.admission import Admission
from server.engine.engine import Engine
from server.engine.event import Started
from server.engine.pace import Pace
from server.engine.prompt import Prompt
from server.engine.request import Call, Input, Request, Sampling
from server.errors import ContextLengthExceeded, InvalidRequest, QueueFull
from server.registry.version import Version
from tests.models import CONTEXT
from tests.server.engine.engines import (
    generate,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    words,
)
from tests.server.engine.pacing import paced
from tests.server.engine.references import Deltas, check_greedy

PROMPT = tuple(range(9, 16))
LIMIT = 8 + 6


@pytest.fixture
async def served(llama: Deltas, tmp_path: Path) -> AsyncGenerator[Engine]:
    limits = tiny_limits(max_sequences=8, max_waiting=6)
    async with serving(tiny_engine(tiny_base("llama"), llama[0], tmp_path, limits)) as running:
        yield running


async def test_a_full_queue(served: Engine) -> None:
    with pytest.raises(InvalidRequest, match=f"At most {LIMIT} ") as refusal:
        await served.submit(Request("many", "base", PROMPT, Sampling(n=LIMIT + 1)))
    assert refusal.value.param == "n"
    # A text is read on another thread, so that all find the queue open when they come.
    endless, text = Sampling(max_tokens=10_000, ignore_eos=True), words(PROMPT)
    requests = [Request(f"{at}", "base", text, endless) for at in range(LIMIT + 3)]
    with paced(served):
        found = await asyncio.gather(*map(served.submit, requests), return_exceptions=True)
        refused = [each for each in found if isinstance(each, BaseException)]
        assert [type(each) for each in refused] == [QueueFull] * 3
        for answer in found:
            if not isinstance(answer, BaseException):
                answer.close()
    assert await generate(served, "again", "base", PROMPT, 2)


async def test_beams_that_are_refused_displace_nobody(served: Engine) -> None:
    endless = Sampling(max_tokens=10_000, ignore_eos=True)
    with paced(served):
        answers = [
            await served.submit(Request(f"{at}", "base", PROMPT, endless)) for at in range(LIMIT)
        ]
        for asked in (
            Sampling(num_beams=LIMIT + 1),
            Sampling(num_beams=9),
            Sampling(num_beams=2, n=3),
            Sampling(num_beams=2, logprobs=0),
        ):
            request = Request("beams", "base", PROMPT, asked, call=Call("another"))
            with pytest.raises(InvalidRequest):
                await served.submit(request)
        assert [each.error for each in answers] == [None] * LIMIT
        for answer in answers:
            answer.close()


def test_who_holds_rows_has_its_share_with_all_that_it_asks_for() -> None:
    limits = tiny_limits(max_sequences=4, max_waiting=64, max_wait=0.0)
    admission = Admission(limits, Pace(), lambda _: None)
    version = Version.bare(generates=True)

    def take(name: str, caller: str, count: int) -> None:
        sampling = Sampling(max_tokens=4, n=count)
        request = Request(name, "base", PROMPT, sampling, call=Call(caller))
        for key in admission.take(request, version, CONTEXT, stuck=False):
            admission.note(Started(key))

    # Of four places two are each one's share.
    take("before", "one", 3)
    take("own", "other", 1)
    with pytest.raises(QueueFull):
        take("too many", "other", 2)
    take("another", "other", 1)


def test_tenants_give_way_by_their_weights() -> None:
    given_way: list[str] = []
    limits = tiny_limits(max_sequences=1, max_waiting=7, max_wait=1e9)
    weights = {"heavy": 3, "light": 1}
    admission = Admission(limits, Pace(), given_way.append, lambda tenant: weights[tenant])
    version = Version.bare(generates=True)

    def take(name: str, tenant: str, caller: str) -> None:
        call = Call(caller, tenant=tenant)
        request = Request(name, "base", PROMPT, Sampling(max_tokens=4), call=call)
        admission.take(request, version, CONTEXT, stuck=False)

    for number in range(4):
        take(f"heavy {number}", "heavy", "one")
        take(f"light {number}", "light", f"caller {number}")
    # Four of eight are twice what is due to a tenant of weight 1, whoever its callers are.
    for number in range(4, 6):
        take(f"heavy {number}", "heavy", "one")
    assert given_way == ["light 3", "light 2"]
    for tenant in weights:
        with pytest.raises(QueueFull):
            take("more", tenant, "one")
    take("another's", "heavy", "other")
    assert given_way[2:] == ["heavy 5"]


def test_nobody_gives_way_to_who_is_refused_all_the_same() -> None:
    given_way: list[str] = []
    limits = tiny_limits(max_sequences=8, max_waiting=12, max_wait=1e9)
    asked: list[str] = []

    def weight(tenant: str) -> int:
        asked.append(tenant)
        return 1

    admission = Admission(limits, Pace(), given_way.append, weight)
    version = Version.bare(generates=True)

    def take(name: str, tenant: str, count: int = 1) -> None:
        sampling, call = Sampling(n=count, max_tokens=4), Call(f"of {name}", tenant=tenant)
        admission.take(
            Request(name, "base", PROMPT, sampling, call=call), version, CONTEXT, stuck=False
        )

    for number in range(20):
        take(f"{number}", "full")
    for number in range(8):
        admission.note(Started((f"{number}", 0), 0))
    with pytest.raises(QueueFull):
        take("many", "new", 14)
    assert given_way == []
    asked.clear()
    take("some", "new", 9)
    assert given_way == [f"{number}" for number in range(19, 10, -1)]
    # However many wait, each tenant is looked at a few times.
    assert len(asked) < 10


async def test_token_ids_wait_for_nobodys_text(
    served: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, may_end = reader.build_prompt, threading.Event()

    def build_prompt(
        tokenizer: PreTrainedTokenizerFast,
        source: Input,
        style: PromptStyle,
        *,
        generates: bool,
        **others: Any,
    ) -> Prompt:
        assert not isinstance(source, str) or may_end.wait(60)
        return read(tokenizer, source, style, generates=generates, **others)

    monkeypatch.setattr(reader, "build_prompt", build_prompt)
    text = Request("text", "base", words(PROMPT), Sampling(max_tokens=2))
    waiting = asyncio.create_task(served.submit(text))
    assert await generate(served, "tokens", "base", PROMPT, 2)
    assert not waiting.done()
    may_end.set()
    (await waiting).close()


@pytest.mark.parametrize(
    ("task", "virtual"), [("base", 0), ("lora", 0), ("prefix", 4), ("prompt", 3), ("p-tuning", 5)]
)
async def test_the_longest_prompt(served: Engine, llama: Deltas, task: str, virtual: int) -> None:
    longest = [9 + at % 90 for at in range(CONTEXT - virtual - 1)]
    most = f"maximum context length is {len(longest) + 1} tokens"
    with pytest.raises(ContextLengthExceeded, match=most):
        await generate(served, "long", task, [*longest, 9], 1)
    check_greedy(llama[1][task], longest, await generate(served, "fits", task, longest, 9), 1)


async def test_a_long_text_keeps_nobody_waiting(served: Engine) -> None:
    long = Request("long", "base", words(PROMPT) * 100_000)
    reading = asyncio.create_task(served.submit(long))
    answered = 0
    while not reading.done():
        text = Request(f"text{answered}", "base", words(PROMPT), Sampling(max_tokens=1))
        (await served.submit(text)).close()
        answered += 1
    with pytest.raises(ContextLengthExceeded):
        await reading
    # It is read for hundreds of times as long as one of them takes.
    assert answered >= 10

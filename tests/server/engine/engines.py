"""Engines over tiny random bases, and how tests ask them."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from deltas.base import describe
from server.engine.engine import Engine
from server.engine.limits import Limits
from server.engine.observer import SILENT, Observer, Silent
from server.engine.output import Generated, Output, TokenLogprob
from server.engine.request import Request, Sampling
from server.model.base import Base
from server.model.cache import BLOCK, bytes_per_block
from server.model.runner import Runner
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.store import Store
from tests.models import VOCABULARY, tiny_model


@dataclass
class Starts(Silent):
    """An observer that counts how often sequences began, or began again."""

    count: int = 0

    def started(self, queued: float) -> None:
        self.count += 1


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One word a token, `w000` … `w127`; the tests mostly send token ids."""
    vocabulary = {_word(index): index for index in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_word(3)))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=_word(2), pad_token=_word(0)
    )


def words(tokens: Sequence[int]) -> str:
    """A text that the tiny tokenizer reads as these tokens."""
    return " ".join(_word(token) for token in tokens)


def _word(token: int) -> str:
    # All of one length: a special token is found inside longer words, too.
    return f"w{token:03}"


def tiny_base(family: str, dtype: torch.dtype = torch.float32) -> Base:
    """A tiny random base of a family."""
    model = tiny_model(family)
    for parameter in model.parameters():
        # As a base is loaded: positions keep all their digits.
        parameter.data = parameter.data.to(dtype)
    return Base(describe(model, f"tiny-{family}"), model, tiny_tokenizer())


def tiny_limits(**changes: float) -> Limits:
    """The default limits but for a small cache, any wait and what is asked for."""
    return replace(Limits(kv_cache_bytes=1 << 24, max_wait=inf), **changes)


def cache_of(base: Base, tokens: int) -> int:
    """The bytes that the keys and values of so many tokens take, in whole blocks."""
    return -(-tokens // BLOCK) * bytes_per_block(base.spec, base.dtype)


def tiny_engine(
    base: Base,
    deltas: Mapping[str, Path],
    store: Path,
    limits: Limits | None = None,
    observer: Observer = SILENT,
    registry: type[Registry] = Registry,
    retention: Retention | None = None,
) -> Engine:
    """An engine with each directory registered as a task."""
    tasks = registry(Store(store), base.spec, base.dtype, retention=retention)
    for name, directory in deltas.items():
        tasks.put(shared(name), directory)
    return Engine(base, tasks, limits or tiny_limits(), observer)


@asynccontextmanager
async def serving(engine: Engine) -> AsyncGenerator[Engine]:
    """An engine while it serves; what still runs at the end is failed."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop(0)


async def ask(engine: Engine, request: Request) -> list[Output]:
    """A request's whole answer."""
    async with await engine.submit(request) as answer:
        return await answer.outputs()


async def generate(
    engine: Engine, key: str, task: str, prompt: Sequence[int], tokens: int
) -> tuple[TokenLogprob, ...]:
    """A task's greedy continuation by the engine, with log-probabilities."""
    sampling = Sampling(max_tokens=tokens, ignore_eos=True, logprobs=0)
    (output,) = await ask(engine, Request(key, task, tuple(prompt), sampling))
    assert isinstance(output, Generated)
    return output.logprobs or ()


async def generate_all(
    engine: Engine, prompts: Mapping[str, Sequence[int]], tokens: int
) -> dict[str, tuple[TokenLogprob, ...]]:
    """All tasks at once."""
    answers = await asyncio.gather(
        *(generate(engine, task, task, prompt, tokens) for task, prompt in prompts.items())
    )
    return dict(zip(prompts, answers, strict=True))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads bring about; a test's own time limit ends it otherwise."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


def digest_of(runner: Runner) -> str:
    """A hash of all that a base is computed from: parameters, buffers, packed weights."""
    digest = hashlib.sha256()
    model = runner.base.model
    packed = [tensor for each in runner.projections for tensor in each.tensors]
    for tensor in [*model.parameters(), *model.buffers(), *packed]:
        digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()

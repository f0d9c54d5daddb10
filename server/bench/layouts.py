"""Layouts: how fast kernels compute each sort of layers, beside the base's own modules."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.bench.errors import BenchError
from server.bench.shapes import random_base
from server.bench.synthetic import projections, random_delta
from server.model.base import Base
from server.model.batch import Item, SourceItem
from server.model.cache import BLOCK
from server.model.runner import Runner
from server.model.threads import take

_LENGTH = 64
"""Tokens of a prompt, a source or an encoder's text."""
_BLOCKS = _LENGTH // BLOCK + 1
_TASKS, _RANK = 8, 16
_FEWEST, _SECONDS = 5, 5.0
"""Slow steps are fewer, but as many as a median needs."""


@dataclass(frozen=True)
class Layout:
    """Milliseconds of a step over so many sequences, medians of steps taken in turns.

    A decoder's step is a row for each sequence behind a prompt, an encoder's reads whole texts.
    `mixed` is that of the kernels with a LoRA of eight for each sequence.
    """

    shape: str
    sequences: int
    kernels: float
    modules: float
    mixed: float

    @property
    def faster(self) -> float:
        """How many times as fast the kernels are."""
        return self.modules / self.kernels

    @property
    def kept(self) -> float:
        """What share of the bare base's rate is left where deltas are mixed."""
        return self.kernels / self.mixed


def layouts(
    names: Sequence[str], dtype: torch.dtype, threads: int, counts: Sequence[int], steps: int
) -> Iterator[Layout]:
    """Measure shapes one after another.

    Raises BenchError for one that is not there, and without kernels.
    """
    for name in names:
        base = random_base(name, dtype)
        blocks = 2 * max(counts) * _BLOCKS if base.generates else 0
        fast, slow = Runner(base, blocks), Runner(_by_modules(random_base(name, dtype)), blocks)
        if fast.kernels is None:
            raise BenchError("Layouts are measured by the native kernels: see `polydelta doctor`.")
        take(threads, fast.kernels)
        targets = projections(base.spec, every=False)
        for slot in range(1, _TASKS + 1):
            delta = random_delta(base.spec, "lora", slot, targets, _RANK)
            fast.wiring.install(slot, fast.wiring.prepare(delta))
        for count in counts:
            yield _measured(name, fast, slow, count, steps)


def _by_modules(base: Base) -> Base:
    """The base as one whose record knows nothing of its layers."""
    family = replace(base.spec.family, pre_norm=None, post_norm=None, sublayers=None)
    return replace(base, spec=replace(base.spec, family=family))


def _measured(name: str, fast: Runner, slow: Runner, count: int, steps: int) -> Layout:
    bare = [BASE_SLOT] * count
    ways = ((fast, bare), (slow, bare), (fast, sorted(1 + at % _TASKS for at in range(count))))
    for runner, slots in ways:
        runner.forward(_begun(runner, slots))
    taken: list[list[float]] = []
    until = time.perf_counter() + _SECONDS
    while len(taken) < min(_FEWEST, steps) or (len(taken) < steps and time.perf_counter() < until):
        taken.append([_seconds(*way) for way in ways])
    kernels, modules, mixed = (1e3 * median(each) for each in zip(*taken, strict=True))
    return Layout(name, count, kernels, modules, mixed)


def _seconds(runner: Runner, slots: Sequence[int]) -> float:
    items = _next(slots) if runner.base.generates else _begun(runner, slots)
    if runner.base.reads_sources:
        items = [replace(item, source=_source(at)) for at, item in enumerate(items)]
    start = time.perf_counter()
    runner.forward(items)
    return time.perf_counter() - start


def _begun(runner: Runner, slots: Sequence[int]) -> list[Item]:
    """Texts of one length, each with the source that it looks at, if it looks at one."""
    text = range(10, 10 + _LENGTH)
    reads, writes = runner.base.reads_sources, runner.base.generates
    return [
        Item(
            slot,
            text,
            0,
            Extent(),
            _blocks(2 * at),
            wants_logits=writes,
            wants_hidden=not writes,
            source=replace(_source(at), tokens=text) if reads else None,
        )
        for at, slot in enumerate(slots)
    ]


def _next(slots: Sequence[int]) -> list[Item]:
    """A row behind each of these texts."""
    return [
        Item(slot, [5], _LENGTH, Extent(), _blocks(2 * at), wants_logits=True)
        for at, slot in enumerate(slots)
    ]


def _source(at: int) -> SourceItem:
    return SourceItem(_blocks(2 * at + 1), _LENGTH)


def _blocks(place: int) -> range:
    """Room for a text and what follows, or for a source."""
    return range(place * _BLOCKS, (place + 1) * _BLOCKS)

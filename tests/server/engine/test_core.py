"""The core, step by step: what a row gets, when, and how soon it gives everything back."""

import threading
from collections.abc import Sequence as List
from pathlib import Path

import pytest
import torch

from server.engine.blocks import BlockPool
from server.engine.core import EngineCore
from server.engine.event import Event, Failed, Started, Token
from server.engine.grammars import Grammars
from server.engine.prefix_cache import PrefixCache
from server.engine.residency import Residency
from server.engine.scheduler import Scheduler
from server.engine.sequence import Sequence
from server.engine.spill import Spill
from server.model.cache import BLOCK
from server.model.runner import Runner
from server.model.sampling import Sampling
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from server.registry.version import Version
from tests.server.engine.engines import tiny_base
from tests.server.engine.references import Deltas

BLOCKS = 32


class Hand:
    """A core without its thread: a test takes each step itself."""

    def __init__(self, directory: Path, store: Path) -> None:
        base = tiny_base("llama")
        self.registry = Registry(Store(store), base.spec, base.dtype)
        self.version = self.registry.put(shared("task"), directory)[0].active
        self.arrived = threading.Event()
        runner = Runner(base, BLOCKS)
        spill = Spill(self.registry.scratch)
        self.residency = Residency(
            runner.wiring,
            2,
            1 << 20,
            self.registry.load,
            self.arrived,
            spill,
            lambda *load: None,
        )
        self.blocks = BlockPool(BLOCKS, BLOCK)
        scheduler = Scheduler(self.residency, self.blocks, 16, 8, PrefixCache(self.blocks))
        self.events: list[Event] = []
        self.core = EngineCore(
            runner,
            self.residency,
            scheduler,
            256,
            self.arrived,
            Grammars(base).allow,
            self._deliver,
        )

    def submit(self, key: str, tokens: int, version: Version | None = None) -> Sequence:
        sampling = Sampling(max_tokens=50, ignore_eos=True)
        sequence = Sequence(
            (key, 0), version or self.version, [9] * tokens, sampling, True, torch.Generator()
        )
        self.core.submit([sequence])
        return sequence

    def step(self) -> list[Event]:
        self.events.clear()
        self.core.step()
        return list(self.events)

    def load(self) -> None:
        """Step until the delta is on the device."""
        while self.residency.residence(self.version.ref) != "device":
            self.arrived.wait()
            self.step()

    def _deliver(self, events: List[Event]) -> None:
        self.events += events


@pytest.fixture
def hand(llama: Deltas, tmp_path: Path) -> Hand:
    return Hand(llama[0]["lora"], tmp_path)


def base_version() -> Version:
    return Version.bare(generates=True)


def test_a_long_prompt_is_split_and_base_rows_join(hand: Hand) -> None:
    hand.submit("long", 40, base_version())
    assert [type(event) for event in hand.step()] == [Started]
    hand.submit("short", 4, base_version())
    # The long prompt came first and fills the step.
    assert hand.step() == []
    assert [event.key[0] for event in hand.step() if isinstance(event, Token)] == ["long", "short"]


def test_a_prompt_under_way_is_shared_as_far_as_it_is_computed(hand: Hand) -> None:
    first = hand.submit("first", 40, base_version())
    hand.step()
    hand.step()
    second = hand.submit("second", 40, base_version())
    # The first has eight rows left in this step, and so has the second.
    events = hand.step()
    assert [event.cached for event in events if isinstance(event, Started)] == [32]
    assert [event.key[0] for event in events if isinstance(event, Token)] == ["first", "second"]
    assert first.tokens == second.tokens
    assert first.blocks[:2] == second.blocks[:2]


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_an_aborted_row_gives_all_back_in_the_next_step(hand: Hand, steps: int) -> None:
    sequence = hand.submit("gone", 40)
    hand.load()
    for _ in range(steps):
        hand.step()
    assert hand.blocks.usage > 0
    hand.core.abort([sequence.key])
    hand.registry.remove(shared("task"))
    hand.residency.forget(sequence.version.ref)
    assert hand.step() == []
    assert hand.blocks.usage == 0
    assert sequence.blocks == []
    assert hand.residency.residence(sequence.version.ref) == "disk"


def test_a_row_aborted_before_its_first_step_is_never_computed(hand: Hand) -> None:
    sequence = hand.submit("gone", 4, base_version())
    hand.core.abort([sequence.key, ("unknown", 0)])
    assert hand.step() == []
    assert sequence.computed == 0


def test_a_step_without_work_computes_nothing(hand: Hand) -> None:
    assert not hand.core.step()
    hand.submit("row", 4, base_version())
    assert hand.core.step()
    assert not any(isinstance(event, Failed) for event in hand.events)


def test_a_task_with_many_requests_keeps_no_other_waiting(hand: Hand) -> None:
    for index in range(20):
        hand.submit(f"many-{index}", 6)
    hand.load()
    one = hand.submit("one", 6, base_version())
    hand.core.abort([("many-0", 0)])
    hand.step()
    assert one.slot is not None


def test_the_first_start_alone_is_told(hand: Hand) -> None:
    hand.blocks.take(BLOCKS - 12)
    first, second = (hand.submit(key, 9, base_version()) for key in ("first", "second"))
    first.sampling = second.sampling = Sampling(max_tokens=200, ignore_eos=True)
    told = [event.key for _ in range(300) for event in hand.step() if isinstance(event, Started)]
    assert second.preempted
    assert sorted(told) == [("first", 0), ("second", 0)]

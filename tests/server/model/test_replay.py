"""Replay: recorded layers say exactly what their calls, made one by one, say."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from deltas.delta import Delta
from deltas.families import FAMILIES
from deltas.kernels import Kernels, Recorder
from deltas.kinds import Extent, extent_of
from deltas.wiring import Wiring
from server.bench.synthetic import projections, random_delta
from server.model import replay
from server.model.batch import Item
from server.model.runner import Runner
from tests.kernels import needs_kernels
from tests.models import ENCODERS
from tests.server.engine.engines import tiny_base

pytestmark = needs_kernels


class Counted:
    """A runner with random deltas in its slots, and the steps that it replayed."""

    def __init__(self, family: str, patch: pytest.MonkeyPatch) -> None:
        self.base = tiny_base(family)
        self.runner = Runner(self.base, 64)
        self.replayed = 0
        self._patch = patch
        self._extents = {0: Extent()}
        assert self.runner.kernels is not None
        replay: Callable[..., None] = self.runner.kernels.replay

        def count(*arguments: Any) -> None:
            self.replayed += 1
            replay(*arguments)

        patch.setattr(self.runner.kernels, "replay", count)

    def install(self, slot: int, *kinds: str) -> None:
        deltas = [self._delta(kind, slot) for kind in kinds]
        delta = Delta(deltas[0].task, tuple(part for each in deltas for part in each.parts))
        self.runner.wiring.install(slot, self.runner.wiring.prepare(delta))
        self._extents[slot] = extent_of(delta, self.base.spec)

    def states(self, slots: Sequence[int], rows: int = 6) -> list[Tensor]:
        """Last hidden states of a sequence for each slot."""
        items = [
            Item(
                slot,
                [0] * self._extents[slot].rows + list(range(5, 5 + rows)),
                0,
                self._extents[slot],
                range(12 * at, 12 * at + 12),
                wants_hidden=True,
            )
            for at, slot in enumerate(sorted(slots))
        ]
        return list(self.runner.forward(items).hidden.values())

    def check(self, slots: Sequence[int], rows: int = 6) -> None:
        """A step is replayed, and the same step call by call gives the same bits.

        An encoder places its prefixes layer by layer, and is not replayed then.
        """
        before = self.replayed
        found = self.states(slots, rows)
        prefixed = any(self._extents[slot].cached for slot in slots)
        before += self.base.generates or not prefixed
        assert self.replayed == before
        with self._patch.context() as patch:
            patch.setattr(Wiring, "recordable", frozenset[int]())
            expected = self.states(slots, rows)
        assert self.replayed == before
        torch.testing.assert_close(found, expected, rtol=0, atol=0)

    def _delta(self, kind: str, seed: int) -> Delta:
        spec = self.base.spec
        return random_delta(spec, kind, seed, projections(spec, every=False), rank=4)


@pytest.fixture(params=["llama", "gemma3_text", "qwen3", "gpt_neox", "modernbert", *ENCODERS])
def counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(request.param, monkeypatch)


def test_deltas_that_come_and_go_are_in_the_recording(counted: Counted) -> None:
    counted.install(1, "lora")
    counted.check([0, 1])
    counted.install(2, "bottleneck")
    counted.check([0, 1, 2])
    counted.install(3, "prompt")
    counted.install(4, "prefix")
    counted.check([0, 1, 2, 3, 4])
    counted.install(5, "lora")
    counted.check([1, 5])
    counted.runner.wiring.remove(2)
    counted.check([0, 1, 5])
    counted.runner.wiring.remove(1)
    counted.install(2, "lora")
    counted.check([0, 2, 5])


def test_a_slot_in_a_table_that_grew_is_found(counted: Counted) -> None:
    counted.install(1, "lora")
    counted.check([1])
    counted.install(40, "lora")
    counted.check([1, 40])


def test_the_first_slot_to_be_recorded_joins_others_that_are_not(counted: Counted) -> None:
    for slot in (1, 2):
        counted.install(slot, "lora", "ia3")
    counted.states([0])
    counted.install(3, "lora")
    counted.check([0, 3])
    counted.install(2, "lora")
    counted.check([0, 2, 3])
    counted.install(4, "bottleneck", "ia3")
    counted.check([0, 3])
    counted.install(5, "bottleneck")
    counted.check([0, 3, 5])


def test_a_table_that_vanished_is_not_read_again(counted: Counted) -> None:
    counted.install(4, "prefix")
    for slot in (30, 1, 20, 2):
        counted.install(slot, "lora")
        counted.check([slot, 4])
        counted.runner.wiring.remove(slot)
        counted.states([0, 4])


def test_a_step_larger_than_any_before(counted: Counted) -> None:
    counted.install(1, "lora")
    counted.check([0, 1], rows=3)
    counted.check([0, 1], rows=90)
    counted.check([0, 1], rows=3)


def test_a_cache_that_moved_is_not_written_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many rows as before but more sequences: an encoder's blocks no longer suffice."""
    recorders: list[Recorder] = []

    def recorder(kernels: Kernels, capacity: int) -> Recorder:
        recorders.append(Recorder(kernels, capacity))
        return recorders[-1]

    monkeypatch.setattr(replay, "Recorder", recorder)
    counted = Counted("bert", monkeypatch)
    counted.install(1, "lora")
    counted.check([1], rows=30)
    before = len(recorders)
    item = Item(0, [5], 0, Extent(), wants_hidden=True)
    one = counted.runner.forward([item]).hidden[0]
    assert len(recorders) == before
    many = counted.runner.forward([item] * 30).hidden
    assert len(recorders) == before + 1
    for hidden in many.values():
        torch.testing.assert_close(hidden, one, rtol=0, atol=1e-5)


def test_what_calls_more_than_kernels_is_not_replayed(counted: Counted) -> None:
    counted.install(1, "lora")
    counted.install(2, "ia3")
    counted.check([0, 1])
    before = counted.replayed
    mixed = counted.states([0, 1, 2])
    assert counted.replayed == before
    torch.testing.assert_close(counted.states([0, 1]), mixed[:2], rtol=0, atol=1e-5)


def test_a_step_leaves_the_states_of_the_one_before(counted: Counted) -> None:
    counted.install(1, "lora")
    first = counted.states([0, 1])
    kept = [state.clone() for state in first]
    counted.states([0, 1], rows=9)
    torch.testing.assert_close(first, kept, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gated": False},
        {"feed_forward": ("mlp.up_proj",)},
        {"attention": ("self_attn.q_proj",)},
        {"feed_forward_output": "self_attn.o_proj"},
    ],
)
def test_calls_that_do_not_fit_each_other_are_never_made(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels read what they are told is there: modules compute what a record tells wrongly."""
    own = FAMILIES["llama"]
    assert own.pre_norm is not None
    family = replace(own, pre_norm=replace(own.pre_norm, **wrong))
    monkeypatch.setitem(FAMILIES, "llama", family)
    monkeypatch.setattr(Kernels, "replay", None)
    base = tiny_base("llama")
    assert base.spec.family == family
    expected = base.model.base_model(torch.tensor([range(5, 11)])).last_hidden_state[0]
    items = [Item(0, range(5, 11), 0, Extent(), [0], wants_hidden=True)]
    found = Runner(base, 8).forward(items).hidden[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

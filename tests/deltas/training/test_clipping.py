"""Steep gradients: a step follows them as PyTorch clips them, no further."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from deltas.training import train
from deltas.training.course import Course
from deltas.training.material import Material
from deltas.training.parameters import Parameters
from tests.deltas.training.lessons import LABELLED, recipe_of
from tests.deltas.training.subjects import TinySubject

STEEPEST = 1.0


class Gradients:
    """What backward passes give, before anything is done to it, beside what is followed."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self._given: dict[nn.Parameter, Tensor] = {}
        self._make = train.starting_parameters

    def watch(self, *wanted: Any) -> Sequence[Parameters]:
        """Make the parameters, and note down each gradient of theirs as it comes."""
        groups = self._make(*wanted)
        for group in groups:
            for parameter in group.parameters():
                parameter.register_post_accumulate_grad_hook(self._note)
        return groups

    def check(self, optimizer: Optimizer, *_: object) -> None:
        """Fail unless a step follows the gradients that were given, clipped by PyTorch."""
        copies = [nn.Parameter(torch.empty_like(given)) for given in self._given.values()]
        for copy, given in zip(copies, self._given.values(), strict=True):
            copy.grad = given
        self.norms.append(clip_grad_norm_(copies, STEEPEST).item())
        followed = {p: p.grad for group in optimizer.param_groups for p in group["params"]}
        assert followed.keys() == self._given.keys()
        for parameter, given in self._given.items():
            torch.testing.assert_close(followed[parameter], given)

    def _note(self, parameter: nn.Parameter) -> None:
        assert parameter.grad is not None
        self._given[parameter] = parameter.grad.clone()


@pytest.mark.parametrize("kind", ["lora", "bottleneck", "ia3"])
def test_steps_follow_clipped_gradients(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = Gradients()
    monkeypatch.setattr(train, "starting_parameters", gradients.watch)
    handle = register_optimizer_step_pre_hook(gradients.check)
    try:
        Course(TinySubject("llama"), recipe_of(kind), Material(LABELLED)).train(lambda *_: None)
    finally:
        handle.remove()
    # Some are clipped, others are not.
    assert min(gradients.norms) < STEEPEST < max(gradients.norms)

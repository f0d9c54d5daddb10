"""Deltas that go wrong after they were found sound, and heads that overflow."""

from collections import Counter
from collections.abc import Callable

import torch

from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Delta, DeltaRef, Part, TaskType
from server.registry.registry import Registry

SITE = "layers.0.mlp.down_proj"


class Flawed(Registry):
    """A registry whose loads go wrong in a way for each task; it counts them."""

    flaws: dict[str, Callable[[Delta], Delta]]
    loads: Counter[str]

    def load(self, ref: DeltaRef) -> Delta:
        self.loads[ref.task] += 1
        return self.flaws.get(ref.task, lambda delta: delta)(super().load(ref))


def misshapen(delta: Delta) -> Delta:
    """The last part's first tensor loses a row."""
    *parts, last = delta.parts
    tensors = dict(last.tensors)
    name = next(iter(tensors))
    tensors[name] = tensors[name][1:]
    return Delta(delta.task, (*parts, Part(last.kind, last.site, tensors, last.options)))


def misplaced(delta: Delta) -> Delta:
    """The last part acts where the base has no site."""
    *parts, last = delta.parts
    return Delta(delta.task, (*parts, Part(last.kind, "nowhere", last.tensors)))


def unreadable(delta: Delta) -> Delta:
    raise OSError("the disk is gone")


def overflowing(base: BaseSpec) -> Delta:
    """Finite weights with infinite answers."""
    site = base.sites[SITE]
    tensors = {
        "a": torch.full((1, site.inputs), 1e30),
        "b": torch.full((site.outputs, 1), 1e30),
    }
    return Delta(TaskType.GENERATE, (Part("lora", SITE, tensors),))


def classifier(base: BaseSpec, weight: float) -> Delta:
    tensors = {"0.weight": torch.full((2, base.hidden), weight)}
    head = Part("head", HEAD_SITE, tensors, {"pooling": "last"})
    return Delta(TaskType.CLASSIFY, (head,), ("no", "yes"))

"""Random deltas of every kind, strong enough to change what a tiny base answers."""

from collections.abc import Mapping

import torch

from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Delta, Option, Part, TaskType
from deltas.kinds import KINDS

_OPTIONS: Mapping[str, dict[str, Option]] = {
    "lora": {"rank": 4},
    "bottleneck": {"size": 4},
    "prefix": {"length": 3},
    "prompt": {"length": 3},
}
_STRENGTH = 0.3


def generator(kind: str, base: BaseSpec, seed: int = 0) -> Delta:
    """A delta of one kind that generates."""
    return Delta(TaskType.GENERATE, tuple(_parts(kind, base, seed)))


def classifier(base: BaseSpec, labels: tuple[str, ...], kind: str = "lora", seed: int = 0) -> Delta:
    """A delta of one kind with a head that classifies."""
    pooling = "last" if base.family.causal else "first"
    head = _head(base, len(labels), pooling, seed)
    return Delta(TaskType.CLASSIFY, (*_parts(kind, base, seed), head), labels)


def tagger(base: BaseSpec, labels: tuple[str, ...], seed: int = 0) -> Delta:
    """A head that labels tokens."""
    return Delta(TaskType.TAG, (_head(base, len(labels), "all", seed),), labels)


def embedder(dimensions: tuple[int, ...] = ()) -> Delta:
    """A head that embeds texts, in these sizes besides its own."""
    head = Part("head", HEAD_SITE, {}, {"pooling": "mean", "normalize": True})
    return Delta(TaskType.EMBED, (head,), dimensions=dimensions)


def _parts(kind: str, base: BaseSpec, seed: int) -> list[Part]:
    random = torch.Generator().manual_seed(seed)
    options = _OPTIONS.get(kind, {})
    parts: list[Part] = []
    for site in KINDS[kind].sites(base, options):
        shapes = KINDS[kind].create(site, options, random)
        tensors = {
            name: torch.empty_like(tensor).normal_(std=_STRENGTH, generator=random)
            for name, tensor in shapes.items()
        }
        parts.append(Part(kind, site.name, tensors))
    return parts


def _head(base: BaseSpec, labels: int, pooling: str, seed: int) -> Part:
    random = torch.Generator().manual_seed(seed)
    weight = torch.empty(labels, base.hidden).normal_(std=_STRENGTH, generator=random)
    tensors = {"0.weight": weight, "0.bias": torch.zeros(labels)}
    return Part("head", HEAD_SITE, tensors, {"pooling": pooling})

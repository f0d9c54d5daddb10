"""Heads: scores per label, or an embedding, from the last hidden states."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.bank import Bank
from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Delta, Options, Part, TaskType
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.kinds.kind import Kind, OptionTypes, measure
from deltas.site import Role, Site

POOLINGS = (
    "first", "last", "mean", "mean_sqrt_len", "weighted_mean", "max", "pooler", "late", "all",
)  # fmt: skip
_ACTIVATIONS = ACTIVATIONS | {"identity": lambda x: x}
_NORM = ("norm_weight", "norm_bias")
_EPSILON = 1e-5

BARE_ENCODER = Delta(
    TaskType.EMBED, (Part("head", HEAD_SITE, {}, {"pooling": "mean", "normalize": True}),)
)
"""What an encoder answers without any delta: the mean of its hidden states, normalised."""


class _HeadBank(Bank):
    def scores(self, slot: int, hidden: Tensor) -> Tensor | None:
        part = self.parts.get(slot)
        if part is None:
            return None
        activations = part.options.get("activations", [])
        names = activations if isinstance(activations, list) else []
        y = _pool(hidden, str(part.options["pooling"]), self.place.module)
        for index in range(_layers(part)):
            weight, bias = part.tensors[f"{index}.weight"], part.tensors.get(f"{index}.bias")
            y = functional.linear(y.to(weight.dtype), weight, bias)
            y = _ACTIVATIONS[names[index]](y) if index < len(names) else y
            y = _normed(part, y) if index == 0 else y
        if part.options["pooling"] == "late":
            y = y.mean(dim=0)
        return (
            functional.normalize(y.float(), dim=-1) if part.options.get("normalize", False) else y
        )


class Head(Kind):
    """A stack of linear layers over pooled hidden states.

    Tensors: `{i}.weight` [outputs, inputs] and optionally `{i}.bias` [outputs] for layer i,
    counted from 0; none at all for a bare embedding. `norm_weight` and optionally `norm_bias`
    [outputs] of a layer norm behind the first layer and its activation.
    Options: `pooling`, one of first, last, mean, mean_sqrt_len (the sum over the root of the number
    of rows), weighted_mean (by the rows' places, from 1), max, pooler (the base's own, over the
    first row), late (the mean of each row's answer) and all (one answer per row); `activations`,
    the names applied after each layer, none of the last unless given; `epsilon`, the layer norm's
    (1e-5 unless given); `normalize` (false unless given), the answer has Euclidean length 1.
    Options for training: `labels`, their number.
    """

    name = "head"
    role = Role.HEAD
    bank = _HeadBank
    options: ClassVar[OptionTypes] = {
        "pooling": str,
        "activations": list,
        "epsilon": float,
        "normalize": bool,
    }
    training: ClassVar[OptionTypes] = {"labels": int}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """Each layer takes what the one before it gives."""
        layers = _layers(part)
        _check_options(part, layers)
        shapes: dict[str, tuple[int, ...]] = {}
        width = site.inputs
        for index in range(layers):
            outputs = measure(part, f"{index}.weight", axis=0, dimensions=2)
            shapes[f"{index}.weight"] = (outputs, width)
            if f"{index}.bias" in part.tensors:
                shapes[f"{index}.bias"] = (outputs,)
            if index == 0:
                norms = (name for name in _NORM if name in part.tensors)
                shapes |= dict.fromkeys(norms, (outputs,))
            width = outputs
        return shapes

    def check_whole(self, parts: Sequence[Part], delta: Delta, base: BaseSpec) -> None:
        """As many outputs as labels; a pooler where the base has one; shorter sizes that are so."""
        part = parts[0]
        if part.options.get("pooling") == "pooler" and base.family.pooler is None:
            raise UnsupportedDelta(
                f"The base '{base.name}' has no pooler that was trained. Keep the one that was "
                'trained with the head: modules_to_save=["pooler", "classifier"].'
            )
        if (part.options.get("pooling") == "all") != (delta.task is TaskType.TAG):
            raise InvalidDelta("Pooling 'all' and the task type 'tag' go together.")
        outputs = _outputs(part)
        _check_dimensions(delta, outputs or base.hidden)
        if delta.task not in (TaskType.CLASSIFY, TaskType.TAG):
            return
        if len(set(delta.labels)) != len(delta.labels):
            raise InvalidDelta("Two labels of the head have the same name.")
        if outputs != len(delta.labels):
            raise InvalidDelta(
                f"The head has {outputs} outputs but {len(delta.labels)} labels are named."
            )

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """One small random linear layer."""
        labels = int(str(options["labels"]))
        weight = torch.empty(labels, site.inputs).normal_(std=0.02, generator=generator)
        return {"0.weight": weight, "0.bias": torch.zeros(labels)}


def width_of(delta: Delta) -> int:
    """How many values a delta's head answers with; 0 where it leaves the base's width as it is."""
    return next((_outputs(part) for part in delta.parts if part.site == HEAD_SITE), 0)


def _outputs(part: Part) -> int:
    layers = _layers(part)
    return len(part.tensors[f"{layers - 1}.weight"]) if layers else 0


def _normed(part: Part, y: Tensor) -> Tensor:
    weight, bias = (part.tensors.get(name) for name in _NORM)
    if weight is None:
        return y
    epsilon = float(str(part.options.get("epsilon", _EPSILON)))
    return functional.layer_norm(y, weight.shape, weight, bias, epsilon)


def _layers(part: Part) -> int:
    return sum(name.endswith(".weight") for name in part.tensors)


def _check_dimensions(delta: Delta, width: int) -> None:
    if delta.dimensions and delta.task is not TaskType.EMBED:
        raise InvalidDelta("Only embeddings have Matryoshka sizes.")
    if wrong := [size for size in delta.dimensions if not 0 < size < width]:
        raise InvalidDelta(
            f"A Matryoshka size must be between 1 and {width - 1}, not {wrong[0]}: the embedding "
            f"has {width} values."
        )


def _check_options(part: Part, layers: int) -> None:
    if part.options.get("pooling") not in POOLINGS:
        raise InvalidDelta(f"The head option 'pooling' must be one of {', '.join(POOLINGS)}.")
    activations = part.options.get("activations", [])
    if not isinstance(activations, list) or len(activations) not in (max(0, layers - 1), layers):
        least = max(0, layers - 1)
        raise InvalidDelta(f"The head option 'activations' must name {least} or {layers}.")
    for name in activations:
        if name not in _ACTIVATIONS:
            raise UnsupportedDelta(
                f"Activation '{name}' is not known; choose one of {', '.join(_ACTIVATIONS)}."
            )


def _pool(hidden: Tensor, pooling: str, pooler: nn.Module | None) -> Tensor:
    if pooling == "first":
        return hidden[0]
    if pooling == "last":
        return hidden[-1]
    if pooling == "mean":
        return hidden.mean(dim=0)
    if pooling == "mean_sqrt_len":
        return hidden.sum(dim=0) / len(hidden) ** 0.5
    if pooling == "weighted_mean":
        places = torch.arange(1, len(hidden) + 1, device=hidden.device)
        return (hidden * places[:, None]).sum(dim=0) / places.sum()
    if pooling == "max":
        return hidden.amax(dim=0)
    if pooling == "pooler" and pooler is not None:
        return pooler(hidden[None])[0]
    return hidden

"""Task heads as Transformers names them, saved beside a PEFT method."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Option, Part, TaskType
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.families import Family, HeadLayout
from deltas.formats.peft.method import Source
from deltas.formats.peft.sidecar import SIDECAR, Sidecar

_SAVED_MODULES = {"classifier", "pre_classifier", "score"}
_POOLER = "pooler"
_ENDS = ("weight", "bias")


def read_head(source: Source, sidecar: Sidecar) -> Part | None:
    """Take the head that a task needs; a generating task has none.

    Raises InvalidDelta if it is absent, UnsupportedDelta where it cannot be told.
    """
    if source.task is TaskType.GENERATE:
        return None
    if source.task is TaskType.EMBED:
        return _embedding(source.base, sidecar)
    layout = _layout(source)
    tensors = dict(_tensors(source, layout))
    if any(tensor.dim() < 1 for tensor in tensors.values()):
        raise InvalidDelta("The head's tensors are no matrices.")
    options: dict[str, Option] = {
        "pooling": layout.pooling,
        "activations": list(layout.activations),
    }
    if layout.norm is not None:
        options["epsilon"] = layout.epsilon
    return Part("head", HEAD_SITE, tensors, options)


def check_saved_modules(names: tuple[str, ...], family: Family) -> None:
    """Raise UnsupportedDelta for whole trained modules other than heads."""
    heads = _SAVED_MODULES.union(
        module
        for layout in family.heads
        for module in (*family.kept(layout), *(_POOLER,) * (layout.pooling == _POOLER))
    )
    beside = {path.rpartition(".")[2] for path in family.beside}
    if others := sorted(set(names) - heads - beside):
        raise UnsupportedDelta(
            f"The checkpoint keeps whole trained copies of {', '.join(others[:5])}; only heads "
            f"({', '.join(sorted(heads))}) are kept so. Train without them; a LoRA on "
            "lm_head is read."
        )


def label_count(head: Part) -> int:
    """The number of a head's outputs."""
    last = sum(name.endswith(".weight") for name in head.tensors) - 1
    return len(head.tensors[f"{last}.weight"])


def _tensors(source: Source, layout: HeadLayout) -> Iterator[tuple[str, Tensor]]:
    """The head's tensors as the head kind names them; those not in the file are the base's own."""
    base = source.base
    named = [(f"{index}.", module) for index, module in enumerate(layout.modules)]
    if layout.norm is not None:
        named.append(("norm_", layout.norm))
    for ours, module in named:
        for end in _ENDS:
            name = f"{module}.{end}"
            if source.weights.has(name):
                yield f"{ours}{end}", source.weights.take(name)
            elif name in base.own_heads:
                yield f"{ours}{end}", base.own_heads[name]
            elif end == "weight":
                raise InvalidDelta(
                    f"The checkpoint lacks the tensor '{name}', and so does the base. Train with "
                    f"modules_to_save={base.family.kept(layout)}."
                )


def _layout(source: Source) -> HeadLayout:
    family = source.base.family
    tags = source.task is TaskType.TAG
    layout = family.tagger if tags else family.classifier
    if layout is None:
        what = "tokens" if tags else "texts"
        raise UnsupportedDelta(f"Where {family.name}'s classifier of {what} is is not known.")
    return _with_pooler(source, layout) if layout.pooling == _POOLER else layout


def _with_pooler(source: Source, layout: HeadLayout) -> HeadLayout:
    """The layout with a pooler of the checkpoint's own before it, if it keeps one."""
    pooler = source.weights.module(source.base.family.pooler or _POOLER)
    for module in (pooler, f"{pooler}.dense"):
        if source.weights.has(f"{module}.weight"):
            modules = (module, *layout.modules)
            return replace(
                layout, modules=modules, pooling="first", activations=("tanh", *layout.activations)
            )
    return layout


def _embedding(base: BaseSpec, sidecar: Sidecar) -> Part:
    if base.embedding is not None and not sidecar.pooling:
        return base.embedding
    pooling = sidecar.pooling or ("" if base.family.causal else "mean")
    if not pooling:
        raise UnsupportedDelta(
            f"How a decoder's states become an embedding is not in the file: add {SIDECAR} with "
            '{"pooling": "last"} or "mean".'
        )
    return Part("head", HEAD_SITE, {}, {"pooling": pooling, "normalize": True})

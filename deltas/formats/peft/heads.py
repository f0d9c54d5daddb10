"""Task heads as Transformers names them, saved beside a PEFT method."""

from deltas.base import HEAD_SITE
from deltas.delta import Part, TaskType
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.families import Family, HeadLayout
from deltas.formats.peft.method import Source
from deltas.formats.peft.sidecar import SIDECAR, Sidecar

_SAVED_MODULES = {"classifier", "pre_classifier", "score"}


def read_head(source: Source, sidecar: Sidecar) -> Part | None:
    """Take the head that a task needs; a generating task has none.

    Raises InvalidDelta if it is absent, UnsupportedDelta where it cannot be told.
    """
    if source.task is TaskType.GENERATE:
        return None
    if source.task is TaskType.EMBED:
        return _embedding(source.base.family, sidecar)
    layout = _layout(source)
    tensors = {
        f"{index}.{name}": source.weights.take(f"{module}.{name}")
        for index, module in enumerate(layout.modules)
        for name in ("weight", "bias")
        if name == "weight" or source.weights.has(f"{module}.{name}")
    }
    activations = list(layout.activations)
    if any(tensor.dim() < 1 for tensor in tensors.values()):
        raise InvalidDelta("The head's tensors are no matrices.")
    return Part("head", HEAD_SITE, tensors, {"pooling": layout.pooling, "activations": activations})


def check_saved_modules(names: tuple[str, ...], family: Family) -> None:
    """Raise UnsupportedDelta for whole trained modules other than heads."""
    heads = _SAVED_MODULES.union(
        module.partition(".")[0]
        for layout in (family.classifier, family.tagger)
        for module in (layout.modules if layout else ())
    )
    if others := sorted(set(names) - heads):
        raise UnsupportedDelta(
            f"The checkpoint keeps whole trained copies of {', '.join(others[:5])}; only heads "
            f"({', '.join(sorted(heads))}) are kept so. Train without them; a LoRA on "
            "lm_head is read."
        )


def label_count(head: Part) -> int:
    """The number of a head's outputs."""
    last = sum(name.endswith(".weight") for name in head.tensors) - 1
    return len(head.tensors[f"{last}.weight"])


def _layout(source: Source) -> HeadLayout:
    family = source.base.family
    tags = source.task is TaskType.TAG
    layout = family.tagger if tags else family.classifier
    if layout is None:
        what = "tokens" if tags else "texts"
        raise UnsupportedDelta(f"Where {family.name}'s classifier of {what} is is not known.")
    return layout


def _embedding(family: Family, sidecar: Sidecar) -> Part:
    pooling = sidecar.pooling or ("" if family.causal else "mean")
    if not pooling:
        raise UnsupportedDelta(
            f"How a decoder's states become an embedding is not in the file: add {SIDECAR} with "
            '{"pooling": "last"} or "mean".'
        )
    return Part("head", HEAD_SITE, {}, {"pooling": pooling, "normalize": True})

"""The copy of the base's own output layer that PEFT saves beside what acts there."""

from deltas.base import LM_HEAD_SITE
from deltas.errors import UnsupportedDelta
from deltas.formats.peft.method import Source


def drop_base_copy(source: Source) -> None:
    """Take the frozen weight; raises UnsupportedDelta if it is of another size than the base's."""
    site = source.base.sites.get(LM_HEAD_SITE)
    name = f"{source.weights.module(LM_HEAD_SITE)}.base_layer.weight"
    if site is None or not source.weights.has(name):
        return
    shape = tuple(source.weights.take(name).shape)
    if shape != (site.outputs, site.inputs):
        raise UnsupportedDelta(
            f"The delta resized the vocabulary: its output layer is {shape}, the base's "
            f"{(site.outputs, site.inputs)}."
        )

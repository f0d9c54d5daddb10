"""IA3: learned scales of activations (Liu et al., 2022, arXiv:2205.05638)."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from deltas.bank import Bank, Place, RowBank
from deltas.base import BaseSpec
from deltas.delta import Options, Part
from deltas.kinds.kind import Kind, projections
from deltas.segments import Segments
from deltas.site import Role, Site


class Ia3(Kind):
    """Scale a projection's output, or its input where it closes the feed-forward block.

    Tensors, at least one of: `scale` [outputs], `input_scale` [inputs].
    Options for training: `targets` (ends of site names).
    """

    name = "ia3"
    role = Role.LINEAR

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """Either scale or both."""
        shapes: dict[str, tuple[int, ...]] = {}
        if "input_scale" in part.tensors:
            shapes["input_scale"] = (site.inputs,)
        if "scale" in part.tensors or not shapes:
            shapes["scale"] = (site.outputs,)
        return shapes

    def bank(self, place: Place) -> Bank:
        """Make a bank for one projection."""
        return _Ia3Bank(place)

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Scales of one, which change nothing."""
        del options, generator
        return {"scale": torch.ones(site.outputs)}

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """Every projection of the layers whose path ends in one of `targets`; else all of them."""
        return projections(base, options.get("targets"))


class _Ia3Bank(RowBank):
    def before(self, x: Tensor, segments: Segments) -> Tensor:
        runs = [
            (run, part.tensors["input_scale"])
            for run in segments.runs
            if (part := self.parts.get(run.slot)) and "input_scale" in part.tensors
        ]
        if not runs:
            return x
        # The input may feed other modules, so it is never written into.
        scales = torch.ones_like(x)
        for run, scale in runs:
            scales[run.start : run.end] = scale
        return x * scales

    def change(self, part: Part, x: Tensor, y: Tensor) -> Tensor:
        del x
        scale = part.tensors.get("scale")
        return y if scale is None else y * scale

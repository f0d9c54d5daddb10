"""Prompt tuning: trained input vectors (Lester et al., 2021, arXiv:2104.08691)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from deltas.bank import Bank
from deltas.base import BaseSpec
from deltas.delta import Options, Part
from deltas.kinds.kind import Extent, Kind, OptionTypes, measure
from deltas.segments import Segments
from deltas.site import Role, Site


class _PromptBank(Bank):
    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        del x
        changed = y
        for segment in segments.items:
            part = self.parts.get(segment.slot)
            if part is None:
                continue
            vectors = part.tensors["vectors"][segment.offset :]
            count = min(len(vectors), segment.end - segment.start)
            if count > 0:
                changed = changed.clone() if changed is y else changed
                changed[segment.start : segment.start + count] = vectors[:count].to(y.dtype)
        return changed


class Prompt(Kind):
    """The first rows of every sequence take learned vectors.

    Tensors: `vectors` [length, width]. P-tuning's encoder, once run, leaves the same.
    Options for training: `length`.
    """

    name = "prompt"
    role = Role.EMBEDDING
    bank = _PromptBank
    training: ClassVar[OptionTypes] = {"length": int}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """Any length."""
        return {"vectors": (measure(part, "vectors", axis=0, dimensions=2), site.outputs)}

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """Before the text that is read: the source, where there is one."""
        del options
        return base.of_role(self.role)[:1]

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Small random vectors."""
        length = int(str(options.get("length", 16)))
        return {"vectors": torch.empty(length, site.outputs).normal_(std=0.02, generator=generator)}

    def extent(self, part: Part) -> Extent:
        """The vectors are rows of the sequence like any other."""
        return Extent(rows=len(part.tensors["vectors"]))

"""LoRA: a low-rank product beside a frozen projection (Hu et al., 2021, arXiv:2106.09685)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from deltas.base import BaseSpec
from deltas.delta import Options, Part
from deltas.errors import InvalidDelta
from deltas.kernels.backend import MAX_RANK
from deltas.kinds.kind import Kind, OptionTypes, measure, projections
from deltas.site import Role, Site
from deltas.small_rank import Factors, SmallRankBank


class _LoraBank(SmallRankBank):
    @classmethod
    def factors(cls, part: Part) -> Factors:
        tensors = part.tensors
        return Factors(tensors["a"], tensors["b"], b_bias=tensors.get("bias"))


class Lora(Kind):
    """y + B·(A·x), with the scale folded into B.

    Tensors: `a` [rank, inputs], `b` [outputs, rank], optionally `bias` [outputs].
    Options for training: `rank`, `targets` (ends of site names).
    """

    name = "lora"
    role = Role.LINEAR
    bank = _LoraBank
    training: ClassVar[OptionTypes] = {"rank": int, "targets": list}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """One rank for both factors."""
        rank = measure(part, "a", axis=0, dimensions=2)
        if rank > MAX_RANK:
            raise InvalidDelta(f"The rank {rank} at '{part.site}' is above {MAX_RANK}.")
        shapes: dict[str, tuple[int, ...]] = {"a": (rank, site.inputs), "b": (site.outputs, rank)}
        if "bias" in part.tensors:
            shapes["bias"] = (site.outputs,)
        return shapes

    def rank(self, part: Part) -> int:
        """The length that both factors share."""
        return len(part.tensors["a"])

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Random A (Kaiming uniform) and zero B, so that training starts from the base."""
        rank = int(str(options.get("rank", 8)))
        bound = site.inputs**-0.5
        a = torch.empty(rank, site.inputs).uniform_(-bound, bound, generator=generator)
        return {"a": a, "b": torch.zeros(site.outputs, rank)}

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """Every projection of the layers whose path ends in one of `targets`; else all of them."""
        return projections(base, options.get("targets"))

"""Bottleneck adapters: small layers after a sub-block (Houlsby et al., 2019, arXiv:1902.00751)."""

from collections.abc import Hashable, Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from deltas.activations import ACTIVATIONS
from deltas.base import AFTER_FEED_FORWARD, BaseSpec
from deltas.delta import Options, Part
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.kernels.backend import MAX_RANK
from deltas.kinds.kind import Kind, OptionTypes, measure
from deltas.site import Role, Site
from deltas.small_rank import Factors, SmallRankBank


class _BottleneckBank(SmallRankBank):
    @classmethod
    def factors(cls, part: Part) -> Factors:
        tensors = part.tensors
        activation = str(part.options.get("activation", "relu"))
        names = ("down", "up", "down_bias", "up_bias")
        return Factors(*(tensors[name] for name in names), activation=activation)

    @classmethod
    def source(cls, part: Part) -> Hashable:
        return bool(part.options.get("norm_before", False))

    def inner(self, source: Hashable, x: Tensor, y: Tensor) -> Tensor:
        if not source:
            return y
        norm, share = self.place.norm, self.place.share
        sum_ = x + y if share == 1.0 else x + y * share
        return sum_ if norm is None else norm(sum_)


class Bottleneck(Kind):
    """y + up(act(down(·))) on a sub-block's output, before its residual sum.

    Tensors: `down` [size, width], `down_bias` [size], `up` [width, size], `up_bias` [width].
    Options: `activation` (relu unless given); `norm_before`: the down-projection sees the
    residual sum, through the norm behind the sub-block where the base has one (Pfeiffer et al.,
    2020, arXiv:2005.00247), instead of the sub-block's bare output.
    Options for training: `size`, `after_attention` (act there as well).
    """

    name = "bottleneck"
    role = Role.BLOCK
    bank = _BottleneckBank
    options: ClassVar[OptionTypes] = {"activation": str, "norm_before": bool}
    training: ClassVar[OptionTypes] = {"size": int, "after_attention": bool}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """One size for both projections; a known activation."""
        activation = part.options.get("activation", "relu")
        if activation not in ACTIVATIONS:
            raise UnsupportedDelta(
                f"Activation '{activation}' is not known; choose one of {', '.join(ACTIVATIONS)}."
            )
        size = measure(part, "down", axis=0, dimensions=2)
        if size > MAX_RANK:
            raise InvalidDelta(f"The size {size} at '{part.site}' is above {MAX_RANK}.")
        return {
            "down": (size, site.inputs),
            "down_bias": (size,),
            "up": (site.outputs, size),
            "up_bias": (site.outputs,),
        }

    def rank(self, part: Part) -> int:
        """The size of the bottleneck."""
        return len(part.tensors["down"])

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """A near-zero up-projection, so that training starts next to the base."""
        size = int(str(options.get("size", max(8, site.inputs // 16))))
        return {
            "down": torch.empty(size, site.inputs).normal_(std=0.02, generator=generator),
            "down_bias": torch.zeros(size),
            "up": torch.empty(site.outputs, size).normal_(std=1e-4, generator=generator),
            "up_bias": torch.zeros(site.outputs),
        }

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """After every feed-forward block, and after every attention if asked for."""
        both = bool(options.get("after_attention", False))
        sites = base.of_role(self.role)
        return [site for site in sites if both or site.name.endswith(AFTER_FEED_FORWARD)]

"""Prefix-tuning: trained keys and values (Li & Liang, 2021, arXiv:2101.00190)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from deltas.bank import Bank
from deltas.base import BaseSpec
from deltas.delta import Delta, Options, Part
from deltas.errors import InvalidDelta
from deltas.kinds.kind import Extent, Kind, OptionTypes, measure
from deltas.site import Role, Site


class _PrefixBank(Bank):
    def key_values(self, slot: int) -> tuple[Tensor, Tensor] | None:
        part = self.parts.get(slot)
        return None if part is None else (part.tensors["key"], part.tensors["value"])


class Prefix(Kind):
    """Keys and values placed first in the cache of each layer.

    Tensors: `key` and `value`, each [length, heads, width].
    Options: `shift` (true unless given): the text's positions begin after the prefix.
    Options for training: `length`.
    """

    name = "prefix"
    role = Role.ATTENTION
    bank = _PrefixBank
    options: ClassVar[OptionTypes] = {"shift": bool}
    training: ClassVar[OptionTypes] = {"length": int}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """One length for keys and values."""
        length = measure(part, "key", axis=0, dimensions=3)
        shape = (length, site.heads, site.outputs)
        return {"key": shape, "value": shape}

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Small random keys and values."""
        shape = (int(str(options.get("length", 16))), site.heads, site.outputs)
        return {
            name: torch.empty(shape).normal_(std=0.02, generator=generator)
            for name in ("key", "value")
        }

    def extent(self, part: Part) -> Extent:
        """The prefix occupies the cache, and positions too unless it was trained beside them."""
        length = len(part.tensors["key"])
        return Extent(cached=length, shift=length if part.options.get("shift", True) else 0)

    def check_whole(self, parts: Sequence[Part], delta: Delta, base: BaseSpec) -> None:
        """Every layer's cache must begin with the same number of tokens, in each stack with one."""
        del delta
        for rows in {base.sites[part.site].rows for part in parts}:
            sites = [site.name for site in base.of_role(Role.ATTENTION) if site.rows is rows]
            lengths = {part.site: len(part.tensors["key"]) for part in parts if part.site in sites}
            if len(lengths) != len(sites) or len(set(lengths.values())) != 1:
                raise InvalidDelta(
                    f"A prefix needs one length at all {len(sites)} layers; found {lengths}."
                )

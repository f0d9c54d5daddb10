"""IA3: learned scales of activations (Liu et al., 2022, arXiv:2205.05638)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from deltas.bank import Bank
from deltas.base import BaseSpec
from deltas.delta import Options, Part
from deltas.errors import InvalidDelta
from deltas.kinds.kind import Kind, OptionTypes, projections
from deltas.segments import Segments
from deltas.site import Role, Site


@dataclass
class _Ia3Bank(Bank):
    _tables: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def before(self, x: Tensor, segments: Segments) -> Tensor:
        scales = self._scales("input_scale", x, segments)
        # The input may feed other modules, so it is never written into.
        return x if scales is None else x * scales

    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        del x
        scales = self._scales("scale", y, segments)
        return y if scales is None else y * scales

    def put(self, slot: int, part: Part) -> None:
        site = self.place.site
        widths = {"scale": site.outputs, "input_scale": site.inputs}
        # One table holds the scales of all slots: a part that does not fit would spoil it for all.
        if any(tensor.shape != (widths[name],) for name, tensor in part.tensors.items()):
            raise InvalidDelta(f"{part.kind} at '{part.site}' does not fit its site.")
        super().put(slot, part)
        self._tables.clear()

    def drop(self, slot: int) -> None:
        super().drop(slot)
        self._tables.clear()

    def _scales(self, name: str, rows: Tensor, segments: Segments) -> Tensor | None:
        """Each row's own scales, or one where it has none; None if no row has any."""
        if segments.slots.isdisjoint(self.parts):
            return None
        table = self._table(name, rows, max(segments.slots) + 1)
        return None if table is None else table[segments.row_slots.to(rows.device)]

    def _table(self, name: str, rows: Tensor, slots: int) -> Tensor | None:
        """The scales by slot, ones where a slot has none; None if no part has any."""
        known = self._tables.get(name)
        if known is not None and len(known) >= slots:
            return known
        found = {
            slot: part.tensors[name] for slot, part in self.parts.items() if name in part.tensors
        }
        if not found:
            return None
        ones = torch.ones_like(rows[0])
        table = torch.stack([found.get(slot, ones) for slot in range(max(slots, *found, 1) + 1)])
        if not torch.is_grad_enabled():
            self._tables[name] = table
        return table


class Ia3(Kind):
    """Scale a projection's output, or its input where it closes the feed-forward block.

    Tensors, at least one of: `scale` [outputs], `input_scale` [inputs].
    Options for training: `targets` (ends of site names).
    """

    name = "ia3"
    role = Role.LINEAR
    bank = _Ia3Bank
    training: ClassVar[OptionTypes] = {"targets": list}

    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """Either scale or both."""
        shapes: dict[str, tuple[int, ...]] = {}
        if "input_scale" in part.tensors:
            shapes["input_scale"] = (site.inputs,)
        if "scale" in part.tensors or not shapes:
            shapes["scale"] = (site.outputs,)
        return shapes

    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Scales of one, which change nothing."""
        del options, generator
        return {"scale": torch.ones(site.outputs)}

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """Every projection of the layers whose path ends in one of `targets`; else all of them."""
        return projections(base, options.get("targets"))

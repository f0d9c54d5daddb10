"""Probes: whether a delta's parts change anything at all, found by letting them act."""

import torch
from torch import Tensor

from deltas.bank import Bank, Place
from deltas.base import BaseSpec
from deltas.delta import Delta, Part
from deltas.kinds import kind_named
from deltas.segments import Segment, Segments
from deltas.site import Role, Site

_SLOT, _TRIES = 1, 8
_SEGMENTS = Segments.of([Segment(_SLOT, 0, 1)])
_LEAST = 1e-6
"""The least change that counts, as a share of the row's own size."""


def warnings_of(delta: Delta, base: BaseSpec) -> tuple[str, ...]:
    """What whoever puts a delta should know: a sentence for each kind that changes nothing."""
    parts = {kind: [part for part in delta.parts if part.kind == kind] for kind in delta.kinds}
    return tuple(
        f"The kind '{kind}' changes nothing: its {len(found)} parts leave random rows as they are. "
        "Check that the checkpoint was saved after training and that its scale is not 0."
        for kind, found in parts.items()
        if not any(changes(part, base.sites[part.site]) for part in found)
    )


def changes(part: Part, site: Site) -> bool:
    """Whether a part changes one of some rows drawn at random, by more than rounding in float32."""
    if site.role in (Role.ATTENTION, Role.HEAD):
        # What they give is no change of rows: the base has nothing in its place.
        return True
    # Parts are given to the bank unprepared, so that it computes in plain PyTorch.
    exact = part.over([tensor.float() for tensor in part.memory])
    bank = kind_named(part.kind).bank(Place(site, None), {_SLOT: exact})
    generator = torch.Generator().manual_seed(0)
    # Row by row: a wide site's rows are large, and the first one mostly tells.
    return any(_changes_row(bank, site, generator) for _ in range(_TRIES))


def _changes_row(bank: Bank, site: Site, generator: torch.Generator) -> bool:
    y = torch.empty(1, site.outputs).normal_(generator=generator)
    if site.role is Role.EMBEDDING:
        x = torch.zeros(1, dtype=torch.long)
    else:
        x = torch.empty(1, site.inputs).normal_(generator=generator)
        if _differ(bank.before(x, _SEGMENTS), x):
            return True
    return _differ(bank.apply(x, y.clone(), _SEGMENTS), y)


def _differ(found: Tensor, row: Tensor) -> bool:
    return float((found - row).norm()) > _LEAST * float(row.norm())

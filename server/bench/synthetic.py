"""Synthetic deltas: random tensors of several kinds, for load where trained ones are few."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from deltas.base import LM_HEAD_SITE, BaseSpec
from deltas.delta import Delta, Options, Part, TaskType
from deltas.formats.native import write
from deltas.kinds import kind_named
from deltas.kinds.head import BARE_ENCODER
from deltas.site import Role
from server.bench.mix import Mix

_LENGTH = 16
# Enough to change the text, too little to make it noise.
_NOISE = 0.01


def write_deltas(base: BaseSpec, mix: Mix, count: int) -> Iterator[tuple[str, Path]]:
    """Write `count` deltas of a mix; yields a name and a directory for each.

    A directory is gone once the next is asked for: a thousand at once would fill a disk.
    """
    kinds, form = mix.deltas, mix.form
    targets = projections(base, every=form.every)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        with tempfile.TemporaryDirectory() as folder:
            write(random_delta(base, kind, index, targets, form.rank), Path(folder), base)
            yield f"bench-{index:03}-{kind}", Path(folder)


def random_delta(base: BaseSpec, name: str, seed: int, targets: Sequence[str], rank: int) -> Delta:
    """A delta of one kind; `targets` are the ends of the projections that it changes, if any."""
    kind = kind_named(name)
    generator = torch.Generator().manual_seed(seed)
    options: Options = {"rank": rank, "size": rank, "length": _LENGTH, "targets": [*targets]}
    parts: list[Part] = []
    for site in kind.sites(base, options):
        tensors = {
            key: tensor + _NOISE * torch.randn(tensor.shape, generator=generator)
            for key, tensor in kind.create(site, options, generator).items()
        }
        parts.append(Part(name, site.name, tensors))
    if not base.family.causal:
        return Delta(TaskType.EMBED, (*parts, *BARE_ENCODER.parts))
    return Delta(TaskType.GENERATE, tuple(parts))


def projections(base: BaseSpec, *, every: bool) -> tuple[str, ...]:
    """The ends of the names of attention's projections, such as q_proj, or of all in a layer."""
    inside = f".{base.family.attention}."
    linears = {site.name for site in base.of_role(Role.LINEAR)} - {LM_HEAD_SITE}
    every = every or base.family.attention is None
    chosen = (name for name in linears if every or inside in name)
    return tuple(sorted({name.rsplit(".", 1)[-1] for name in chosen}))

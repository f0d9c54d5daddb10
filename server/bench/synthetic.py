"""Synthetic deltas: random tensors of several kinds, for load where trained ones are few."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from deltas.base import BaseSpec
from deltas.delta import Delta, Options, Part, TaskType
from deltas.formats.native import write
from deltas.kinds import kind_named
from deltas.kinds.head import BARE_ENCODER
from deltas.site import Role

RANK = 16
_LENGTH = 16
# Enough to change the text, too little to make it noise.
_NOISE = 0.01


def write_deltas(
    base: BaseSpec, kinds: Sequence[str], count: int, folder: Path
) -> Iterator[tuple[str, Path]]:
    """Write `count` deltas of `kinds` in turn; yields a name and a directory for each."""
    for index in range(count):
        kind = kinds[index % len(kinds)]
        name = f"bench-{index:03}-{kind}"
        delta = random_delta(base, kind, index, targets=attention_projections(base))
        write(delta, folder / name, base)
        yield name, folder / name


def random_delta(
    base: BaseSpec, name: str, seed: int, targets: Sequence[str], rank: int = RANK
) -> Delta:
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


def attention_projections(base: BaseSpec) -> list[str]:
    """The last names of the projections inside attention, such as q_proj."""
    inside = f".{base.family.attention}."
    names = [site.name for site in base.of_role(Role.LINEAR) if inside in site.name]
    return sorted({name.rsplit(".", 1)[-1] for name in names})

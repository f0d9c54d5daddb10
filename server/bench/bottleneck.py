"""Synthetic bottlenecks in our own format, for comparisons on encoders."""

from pathlib import Path

from deltas.base import BaseSpec
from deltas.formats.native import write
from server.bench.synthetic import random_delta


def write_bottlenecks(base: BaseSpec, size: int, count: int, folder: Path) -> dict[str, Path]:
    """Write `count` deltas that embed, a bottleneck after each layer; gives directories by name."""
    names = [f"bottleneck-{index:03}" for index in range(count)]
    for seed, name in enumerate(names):
        write(random_delta(base, "bottleneck", seed, (), size), folder / name, base)
    return {name: folder / name for name in names}

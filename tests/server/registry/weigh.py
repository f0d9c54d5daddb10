"""Puts of deltas over a base of wide layers, and what they take: in a process of its own."""

import json
import re
import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from deltas.base import BaseSpec, describe
from deltas.errors import PolydeltaError
from deltas.kernels import load_kernels
from deltas.site import Role, Site
from server.model.threads import keep_to_one
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.models import tiny_model

WIDTH = 1 << 20
SITES = [f"layers.{index}.self_attn.q_proj" for index in range(2)]


def wide_base() -> BaseSpec:
    """A base of which nothing but its description is large."""
    base = describe(tiny_model("llama"), "wide")
    sites = {name: Site(name, Role.LINEAR, WIDTH, WIDTH) for name in SITES}
    return replace(base, sites=base.sites | sites)


def memory(name: str) -> int:
    """A line of what the system says of this process's memory, in bytes."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def put(registry: Registry, directory: Path) -> str:
    """Put a delta and tell how that ended."""
    try:
        registry.put(shared(directory.name), directory)
    except PolydeltaError as error:
        return error.code
    return "put"


def weigh(store: Path, limit: int | None, directories: Sequence[Path], found: Path) -> None:
    """Put each delta in turn.

    `limit` is the address space that may be taken on top of what there is, in bytes. It bounds all
    deltas but the first, with which PyTorch and the checks load what they need once. Writes to
    `found` for each other, as JSON, how its put ended, by how many bytes memory had grown at its
    most and by how many at its end.
    """
    # As a server does: its core's threads are its own, and its kernels there from the start.
    keep_to_one()
    load_kernels(torch.float32)
    registry = Registry(Store(store), wide_base())
    first, *others = directories
    put(registry, first)
    if limit is not None:
        most = memory("VmSize") + limit
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    weights: list[tuple[str, int, int]] = []
    for directory in others:
        # The greatest size so far is forgotten.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        ended = put(registry, directory)
        weights.append((ended, memory("VmHWM") - before, memory("VmRSS") - before))
    found.write_text(json.dumps(weights))
    registry.close()

"""Put deltas over a base of wide layers and tell what it took: run in a process of its own.

    python -m tests.server.registry.weigh STORE BYTES DELTA …

BYTES is the address space that may be taken on top of what there is; 0 for as much as there is.
It bounds all deltas but the first, with which PyTorch and the checks load what they need once.
Prints for each delta how its put ended, by how many bytes memory had grown at its most and by how
many at its end.
"""

import re
import resource
import sys
from dataclasses import replace
from pathlib import Path

import torch

from deltas.base import BaseSpec, describe
from deltas.errors import PolydeltaError
from deltas.kernels import load_kernels
from deltas.site import Role, Site
from server.model.threads import keep_to_one
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
        registry.put(directory.name, directory)
    except PolydeltaError as error:
        return error.code
    return "put"


def main(store: str, limit: str, *directories: str) -> None:
    """Put each delta in turn."""
    # As a server does: its core's threads are its own, and its kernels there from the start.
    keep_to_one()
    load_kernels(torch.float32)
    registry = Registry(Store(Path(store)), wide_base())
    for index, directory in enumerate(map(Path, directories)):
        if int(limit) and index == 1:
            most = memory("VmSize") + int(limit)
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
        # The greatest size so far is forgotten.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        ended = put(registry, directory)
        sys.stdout.write(f"{ended} {memory('VmHWM') - before} {memory('VmRSS') - before}\n")
    registry.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

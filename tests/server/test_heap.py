"""What memory is left: of the machine, and of the groups as real systems lay them out."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from server import heap
from tests.server.control_groups import BOX, UNIFIED, V2, lay_out, mount

MIB = 1 << 20
MACHINE = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     600 kB"
SPLIT = "/sys/fs/cgroup/memory"


def v2(group: str, most: str, used: int, cached: int) -> dict[str, str]:
    return {
        f"{group}/memory.max": most,
        f"{group}/memory.current": str(used),
        f"{group}/memory.stat": f"anon 7\ninactive_file {cached}\nactive_file 9",
    }


def v1(group: str, most: int, used: int, cached: int) -> dict[str, str]:
    return {
        f"{group}/memory.limit_in_bytes": str(most),
        f"{group}/memory.usage_in_bytes": str(used),
        f"{group}/memory.stat": f"cache 7\ninactive_file 1\ntotal_inactive_file {cached}",
    }


SYSTEMS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str], int]] = {
    "no group": ((), (), {}, 600 << 10),
    "docker, version 2": (
        ("0::/",), (mount(V2, "/", UNIFIED),), v2(UNIFIED, "1000", 800, 50), 250
    ),
    "docker, version 2, without a limit": (
        ("0::/",), (mount(V2, "/", UNIFIED),), v2(UNIFIED, "max", 800, 50), 600 << 10
    ),
    "docker, version 2, above its limit": (
        ("0::/",), (mount(V2, "/", UNIFIED),), v2(UNIFIED, "1000", 1200, 50), 0
    ),
    "a group within docker's": (
        (f"0::{BOX}",),
        (mount(V2, "/", UNIFIED),),
        v2(UNIFIED + BOX, "5000", 10, 0) | v2(f"{UNIFIED}{Path(BOX).parent}", "900", 100, 0),
        800,
    ),
    "docker, version 1": (("9:memory:/",), (), v1(SPLIT, 1000, 800, 60), 260),
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_least_that_anybody_allows_is_left(name: str, tmp_path: Path) -> None:
    groups, mounts, files, left = SYSTEMS[name]
    lay_out(tmp_path, groups, mounts, {"/proc/meminfo": MACHINE, **files})
    assert heap.left(tmp_path) == left


def test_where_nothing_is_said_there_is_no_limit(tmp_path: Path) -> None:
    assert heap.left(tmp_path) > 1 << 60


def test_this_system_has_some_left() -> None:
    assert MIB < heap.left() < 1 << 50


def test_errors_of_exhausted_memory_are_told_from_others() -> None:
    with pytest.raises(RuntimeError) as exhausted:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert heap.is_exhaustion(exhausted.value)
    assert heap.is_exhaustion(MemoryError())
    assert not heap.is_exhaustion(RuntimeError("shapes do not fit"))

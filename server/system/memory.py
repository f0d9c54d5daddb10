"""Memory: how much this process may still take, and who says so."""

import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.system.cgroups import ROOT, control_groups, read_control

GIGABYTE = 1 << 30
"""The unit of the settings."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The most bytes that a control group may hold, those it holds now, and who says so."""

    bytes: int
    used: int
    file: Path


@dataclass(frozen=True, slots=True)
class Memory:
    """The machine's memory, what of it is free or can be freed at once, and a limit, in bytes.

    None is what the system does not tell.
    """

    total: int | None
    free: int | None
    limit: MemoryLimit | None

    @property
    def most(self) -> int | None:
        """What this process could hold, were it alone."""
        return _least(self.total, self.limit and self.limit.bytes)

    @property
    def left(self) -> int | None:
        """What it may take now."""
        return _least(self.free, self.limit and max(0, self.limit.bytes - self.limit.used))


def memory(root: Path = ROOT) -> Memory:
    """Find what this process is given now; `root` is where the file system begins."""
    return Memory(_meminfo("MemTotal", root), _meminfo("MemAvailable", root), find_limit(root))


def find_limit(root: Path = ROOT) -> MemoryLimit | None:
    """The limit that leaves least of this process's group and its ancestors; None without any."""
    return min(_limits(root), key=lambda limit: limit.bytes - limit.used, default=None)


def resident() -> int:
    """Bytes that this process holds; the most that it has held where the system tells no more."""
    pages = read_control(Path("/proc/self/statm")).split()
    if pages:
        return int(pages[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _limits(root: Path) -> Iterator[MemoryLimit]:
    for group in control_groups("memory", root):
        for limit, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most = read_control(group / limit)
            if most.isdigit():
                held = read_control(group / used)
                # Files that nobody has read lately make room at once.
                spare = _line(read_control(group / "memory.stat"), idle)
                taken = int(held) - spare if held.isdigit() else 0
                yield MemoryLimit(int(most), max(0, taken), group / limit)


def _line(text: str, name: str) -> int:
    """The number behind a name, in lines of both; 0 where there is none."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _meminfo(key: str, root: Path) -> int | None:
    for line in read_control(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    if key == "MemTotal" and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    return None


def _least(*amounts: int | None) -> int | None:
    return min((amount for amount in amounts if amount is not None), default=None)

"""The heap: what this process may still take of memory, and giving back what it took."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from server.cgroups import ROOT, control_groups, read_control

_KIB = 1024
_WORTH_GIVING_BACK = 16 << 20


def left(root: Path = ROOT) -> int:
    """Bytes that this process may still take; `root` is where the file system begins.

    The least of what the machine has left and what its control group and those above it allow,
    files that are merely cached counting as free. 2^63 where nothing says so.
    """
    return min(_machine(root), *_groups(root), 1 << 63)


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that there was no memory; PyTorch's has no class of its own."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def give_back(size: int) -> None:
    """Return to the system what was let go of lately, `size` bytes; little is not worth it.

    The C library keeps what it frees for the thread that will ask for it next, which for a large
    delta may be never.
    """
    if size >= _WORTH_GIVING_BACK and sys.platform == "linux":
        with suppress(AttributeError):  # Another C library than glibc.
            ctypes.CDLL(None).malloc_trim(0)


def _machine(root: Path) -> int:
    found = re.search(
        r"^MemAvailable: +(\d+) kB", read_control(root / "proc/meminfo"), re.MULTILINE
    )
    return int(found[1]) * _KIB if found else 1 << 63


def _groups(root: Path) -> Iterator[int]:
    """What each control group has left, in version 2's words or in version 1's."""
    for group in control_groups("memory", root):
        for most, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, usage = read_control(group / most), read_control(group / used)
            if limit.isdecimal() and usage.isdecimal():
                yield max(0, int(limit) - int(usage) + _cached(group))


def _cached(group: Path) -> int:
    """Bytes of files that nobody has used lately, in the group and, in version 1's words, below."""
    stat = read_control(group / "memory.stat")
    found = re.findall(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
    return max(map(int, found), default=0)

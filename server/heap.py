"""The heap: what this process may still take of memory, and giving back what it took."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

from server.cgroups import ROOT
from server.memory import memory

_ENDLESS = 1 << 63
_WORTH_GIVING_BACK = 16 << 20


def left(root: Path = ROOT) -> int:
    """Bytes that this process may still take; `root` is where the file system begins.

    The least of what the machine has left and what its control group and those above it allow,
    files that are merely cached counting as free. 2^63 where nothing says so.
    """
    found = memory(root).left
    return _ENDLESS if found is None else found


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

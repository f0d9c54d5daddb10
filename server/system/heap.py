"""The heap: telling that it is exhausted, giving back what was taken of it, keeping little."""

import ctypes
import os
import sys
from contextlib import suppress

_ARENA_MAX = -8
"""glibc's M_ARENA_MAX (malloc.h)."""


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that there was no memory; PyTorch's has no class of its own."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def share_arenas() -> None:
    """Have all threads that begin from now on share two arenas of the C library.

    Left to itself it makes one for each thread, up to eight for each processor, and each keeps what
    was freed in it. A variable of the user's counts more.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(AttributeError):  # Another C library than glibc.
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def give_back() -> None:
    """Return to the system what was let go of.

    The C library keeps what it frees for the thread that will ask for it next, which for a large
    delta may be never.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # Another C library than glibc.
            ctypes.CDLL(None).malloc_trim(0)

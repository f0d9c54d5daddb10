"""The heap: telling that it is exhausted, and giving back what was taken of it."""

import ctypes
import sys
from contextlib import suppress


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that there was no memory; PyTorch's has no class of its own."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def give_back() -> None:
    """Return to the system what was let go of.

    The C library keeps what it frees for the thread that will ask for it next, which for a large
    delta may be never.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # Another C library than glibc.
            ctypes.CDLL(None).malloc_trim(0)

"""Memory for what the kernels stream through: in huge pages where the system has them.

With pages of 4 KiB a step over all weights misses the processor's page tables tens of thousands of
times, and its prefetcher stops at every page's end.
"""

import ctypes
import math
import sys
from threading import Lock

import torch
from torch import Tensor

_HUGE = 2 << 20
_CHUNK = 4 << 20
_LINE = 64
_MADV_HUGEPAGE = 14


class Arena:
    """Hands out stretches of chunks, one after another; a chunk goes with its last tensor.

    Matrices that are read one after another are best taken one after another. Thread-safe.
    """

    def __init__(self) -> None:
        self._rest = torch.empty(0, dtype=torch.uint8)
        self._lock = Lock()

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """A tensor that holds anything, at the start of a cache line."""
        size = math.prod(shape) * dtype.itemsize
        with self._lock:
            if size > len(self._rest):
                self._rest = _chunk(max(size, _CHUNK))
            taken = self._rest[:size]
            self._rest = self._rest[-(-size // _LINE) * _LINE :]
        return taken.view(dtype).view(shape)


def _chunk(size: int) -> Tensor:
    whole = -(-size // _HUGE) * _HUGE
    memory = torch.empty(whole + _HUGE, dtype=torch.uint8)
    start = -memory.data_ptr() % _HUGE
    if sys.platform == "linux":
        # Advice: where it is not taken, everything works as before.
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(memory.data_ptr() + start), ctypes.c_size_t(whole), _MADV_HUGEPAGE
        )
    return memory[start : start + whole]

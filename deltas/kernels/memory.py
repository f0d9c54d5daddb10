"""Memory for what the kernels stream through: in huge pages where the system has them.

With pages of 4 KiB a step over all weights misses the processor's page tables tens of thousands of
times, and its prefetcher stops at every page's end.
"""

import ctypes
import math
import sys
from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

_HUGE = 2 << 20
_CHUNK = 4 << 20
_LINE = 64
_MADV_HUGEPAGE = 14


class Arena:
    """Hands out stretches of chunks, one after another; a chunk goes with its last tensor.

    What would fill a chunk has one of its own. For what is read one after another and stays.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._rest = torch.empty(0, dtype=torch.uint8)
        self._lock = Lock()

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """A tensor that holds anything, at the start of a cache line."""
        size = math.prod(shape) * dtype.itemsize
        taken = stretch(size) if size >= _CHUNK else self._cut(size)
        return taken.view(dtype).view(shape)

    def _cut(self, size: int) -> Tensor:
        with self._lock:
            if size > len(self._rest):
                self._rest = stretch(_CHUNK)
            taken = self._rest[:size]
            self._rest = self._rest[to_line(size) :]
        return taken


def lay_out(tensors: Sequence[Tensor], memory: Tensor) -> tuple[list[Tensor], Tensor]:
    """Copies of tensors, one after another at the beginning of `memory`, and what is left of it."""
    copies: list[Tensor] = []
    for tensor in tensors:
        copy = memory[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        copies.append(copy.copy_(tensor))
        memory = memory[to_line(tensor.nbytes) :]
    return copies, memory


def to_line(size: int) -> int:
    """A size in bytes, rounded up to whole cache lines."""
    return -(-size // _LINE) * _LINE


def stretch(size: int) -> Tensor:
    """Bytes that hold anything, from the start of a cache line; in huge pages if they fill one."""
    if size < _HUGE:
        memory = torch.empty(size + _LINE, dtype=torch.uint8)
        start = -memory.data_ptr() % _LINE
        return memory[start : start + size]
    memory = torch.empty(size + _HUGE, dtype=torch.uint8)
    start = -memory.data_ptr() % _HUGE
    if sys.platform == "linux":
        # Advice: where it is not taken, everything works as before.
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(memory.data_ptr() + start), ctypes.c_size_t(size), _MADV_HUGEPAGE
        )
    return memory[start : start + size]

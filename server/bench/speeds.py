"""Measuring what a machine computes and reads, in about a second."""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

from deltas.kernels import load_base_kernels
from server.model.threads import take

_ROWS, _WIDTH, _OUTPUTS = 256, 576, 1536


def take_all(threads: int) -> None:
    """Let the calling thread measure both PyTorch and the kernels with so many threads."""
    take(threads, None)
    if kernels := load_base_kernels(torch.float32):
        take(threads, kernels)


def product_speed(dtype: torch.dtype) -> float:
    """GFLOP/s of one projection of a small model over a full batch, by PyTorch or the kernels."""
    x, weight = torch.randn(_ROWS, _WIDTH).to(dtype), torch.randn(_OUTPUTS, _WIDTH).to(dtype)
    seconds = _fastest(lambda: linear(x, weight))
    if kernels := load_base_kernels(dtype):
        packed = kernels.pack(weight)
        seconds = min(seconds, _fastest(lambda: kernels.linear(x, packed)))
    return 2 * _ROWS * _WIDTH * _OUTPUTS / seconds / 1e9


def reading_speed() -> float:
    """GB/s of reading more memory than caches hold, by PyTorch or the kernels."""
    data = torch.ones(64 << 20)
    seconds = _fastest(data.sum)
    if kernels := load_base_kernels(data.dtype):
        packed, x = kernels.pack(data.view(1 << 16, -1)), torch.ones(1, 1 << 10)
        seconds = min(seconds, _fastest(lambda: kernels.linear(x, packed)))
    return data.nbytes / seconds / 1e9


def _fastest(work: Callable[[], object], times: int = 7) -> float:
    """Seconds of the quickest run: the one that was disturbed least."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best

"""Measuring what a machine computes and reads, in about a second."""

import time
from collections.abc import Callable

import torch

_ROWS, _WIDTH, _OUTPUTS = 256, 576, 1536


def product_speed(dtype: torch.dtype) -> float:
    """GFLOP/s of one projection of a small model over a full batch."""
    x, weight = torch.randn(_ROWS, _WIDTH).to(dtype), torch.randn(_OUTPUTS, _WIDTH).to(dtype)
    seconds = _fastest(lambda: torch.nn.functional.linear(x, weight))
    return 2 * _ROWS * _WIDTH * _OUTPUTS / seconds / 1e9


def reading_speed() -> float:
    """GB/s of reading more memory than caches hold."""
    data = torch.ones(64 << 20)
    return data.nbytes / _fastest(data.sum) / 1e9


def _fastest(work: Callable[[], object], times: int = 7) -> float:
    """Seconds of the quickest run: the one that was disturbed least."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best

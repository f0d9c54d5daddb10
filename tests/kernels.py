"""What tests of the native kernels ask of a machine."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
import torch

from deltas.kernels import load_kernels
from deltas.kernels.loading import SWITCH

needs_kernels = pytest.mark.skipif(
    load_kernels(torch.float32) is None, reason="no C++ compiler has built the kernels here"
)


@contextmanager
def without_kernels() -> Generator[None]:
    """Plain PyTorch instead of the native kernels."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SWITCH, "off")
            load_kernels.cache_clear()
            yield
    finally:
        load_kernels.cache_clear()

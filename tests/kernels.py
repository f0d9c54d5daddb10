"""What tests of the native kernels ask of a machine."""

import pytest
import torch

from deltas.kernels import load_kernels

needs_kernels = pytest.mark.skipif(
    load_kernels(torch.float32) is None, reason="no C++ compiler has built the kernels here"
)

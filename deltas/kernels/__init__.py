"""Kernels: the arithmetic that PyTorch has no fast operator for, built from this folder.

In C++ for the CPU, in Triton for CUDA. Everything here has an equal in plain PyTorch elsewhere,
which runs where a kernel is missing.
"""

from deltas.kernels.backend import SmallRankKernels
from deltas.kernels.kernels import Kernels
from deltas.kernels.loading import load_base_kernels, load_kernels
from deltas.kernels.recording import Recorder

__all__ = ["Kernels", "Recorder", "SmallRankKernels", "load_base_kernels", "load_kernels"]

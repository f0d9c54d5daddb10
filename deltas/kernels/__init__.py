"""Kernels: the arithmetic that PyTorch has no fast operator for, built from this folder.

In C++ for the CPU, in Triton for CUDA. Everything here has an equal in plain PyTorch elsewhere,
which runs where a kernel is missing.
"""

from deltas.kernels.library import Kernels, SmallRankKernels, load_kernels

__all__ = ["Kernels", "SmallRankKernels", "load_kernels"]

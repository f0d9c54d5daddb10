"""Kernels: the arithmetic that PyTorch has no fast operator for, in C++ built from this folder.

Everything here has an equal in plain PyTorch elsewhere, which runs where the library is missing.
"""

from deltas.kernels.library import Kernels, load_kernels

__all__ = ["Kernels", "load_kernels"]

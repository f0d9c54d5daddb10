"""Threads: one of this process's threads computes, and it alone has helpers.

The kernels' helpers are their own (`deltas/kernels/team.h`). PyTorch's wait for one another at the
end of every operation, whatever else the processors have to do: where kernels compute, it has none.
"""

import torch

from deltas.kernels import Kernels


def keep_to_one() -> None:
    """Let this thread, and those that start to compute from now on, do so alone."""
    torch.set_num_threads(1)


def take(threads: int, kernels: Kernels | None) -> None:
    """Let the calling thread compute with so many, by the kernels or else by PyTorch."""
    if kernels is None:
        torch.set_num_threads(threads)
    else:
        kernels.use_threads(threads)

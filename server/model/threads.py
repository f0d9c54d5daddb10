"""Threads: one of this process's threads computes, and it alone has helpers.

PyTorch gives every thread that computes a set of helpers of its own. OpenMP counts them all, and
once they outnumber the processors lets each one sleep after every few microseconds of waiting: each
of the hundreds of small products of a step would then wait for the system to wake it.
"""

import torch


def keep_to_one() -> int:
    """Let this thread, and those that start to compute from now on, do so alone.

    Returns how many threads the one that computes may take.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads


def take(threads: int) -> None:
    """Let the calling thread compute with so many; whoever asked before keeps what it had."""
    torch.set_num_threads(threads)

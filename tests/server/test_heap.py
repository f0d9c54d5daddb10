"""Errors of exhausted memory are told from others; threads share what the C library keeps."""

import os
import subprocess
import sys

import pytest
import torch

from server.system.heap import is_exhaustion

THREADS = """
import ctypes
import sys
from threading import Barrier, Thread
from server.system.heap import share_arenas

if sys.argv[1:]:
    share_arenas()
library, together = ctypes.CDLL(None), Barrier(12)
library.malloc.restype = ctypes.c_void_p

def take():
    together.wait()
    for _ in range(1000):
        library.malloc(ctypes.c_size_t(1000))
    together.wait()

threads = [Thread(target=take) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library.malloc_stats()
"""


def arenas(*arguments: str, **variables: str) -> int:
    """How many arenas the C library of a process with many threads has."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS, *arguments],
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return sum(line.startswith("Arena ") for line in done.stderr.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that has arenas")
def test_threads_share_arenas_unless_told_otherwise() -> None:
    assert arenas() > arenas("shared") == 2
    assert arenas("shared", MALLOC_ARENA_MAX="5") == 5


def test_exhaustion_is_told_by_whoever_meets_it() -> None:
    with pytest.raises(RuntimeError) as exhausted:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_exhaustion(exhausted.value)
    assert is_exhaustion(MemoryError())
    assert not is_exhaustion(RuntimeError("shapes do not fit"))

"""The kernels' team of threads: nobody waits for one that has not begun, and idle ones sleep."""

import ctypes
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from torch import Tensor

from deltas.kernels import Kernels, load_base_kernels
from server.bench.neighbours import neighbours
from tests.deltas.kernels.small_rank import draw
from tests.kernels import needs_kernels

pytestmark = [needs_kernels, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

THREADS = 3
SET_TRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
TASKS = Path("/proc/self/task")


@pytest.fixture
def kernels() -> Kernels:
    found = load_base_kernels(torch.float32)
    assert found is not None
    return found


@contextmanager
def helpers(kernels: Kernels) -> Generator[list[int]]:
    """The threads that help this one, meanwhile."""
    before = threads_now()
    kernels.use_threads(THREADS)
    try:
        yield list(threads_now() - before)
    finally:
        kernels.use_threads(1)


def threads_now() -> set[int]:
    """The threads of this process."""
    return {int(task.name) for task in TASKS.iterdir()}


def products(kernels: Kernels, count: int) -> list[Tensor]:
    """Products that are worth many pieces each."""
    packed = kernels.pack(draw(0, kernels.dtype, 640, 64))
    return [kernels.linear(draw(seed, kernels.dtype, 20, 64), packed) for seed in range(count)]


def ran(thread: int) -> int:
    """Nanoseconds that a thread was on a processor."""
    return int((TASKS / str(thread) / "schedstat").read_text().split()[0])


def test_work_is_done_while_every_helper_is_stopped(kernels: Kernels) -> None:
    expected = products(kernels, 50)
    with helpers(kernels) as threads:
        assert len(threads) == THREADS - 1
        ctypes.CDLL(None).prctl(SET_TRACER, ANYBODY, 0, 0, 0)
        command = [sys.executable, str(Path(__file__).with_name("stopper.py"))]
        with subprocess.Popen(
            [*command, *map(str, threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as stopper:
            assert stopper.stdout is not None
            assert stopper.stdout.readline() == b"stopped\n"
            before = [ran(thread) for thread in threads]
            found = products(kernels, 50)
            assert [ran(thread) for thread in threads] == before
        assert all(map(torch.equal, found, expected))
        assert all(map(torch.equal, products(kernels, 50), expected))


def test_helpers_help_and_then_sleep(kernels: Kernels) -> None:
    with helpers(kernels) as threads:
        begun = [ran(thread) for thread in threads]

        def all_helped() -> bool:
            products(kernels, 50)
            return all(ran(thread) > start for thread, start in zip(threads, begun, strict=True))

        assert within(60, all_helped)
        before = [ran(thread) for thread in threads]
        time.sleep(0.5)
        idle = [ran(thread) - start for thread, start in zip(threads, before, strict=True)]
    assert max(idle) < 0.1 * 0.5e9


def test_helpers_end_with_their_thread(kernels: Kernels) -> None:
    before = threads_now()

    def compute() -> None:
        kernels.use_threads(THREADS)
        products(kernels, 2)

    thread = Thread(target=compute)
    thread.start()
    thread.join()
    assert within(60, lambda: threads_now() <= before)


def test_fewer_threads_while_others_want_the_processors(kernels: Kernels) -> None:
    """As many again once they do not."""
    with computing(kernels) as threads:
        with neighbours(6 * len(os.sched_getaffinity(0))):
            assert within(60, lambda: not any(map(runs, threads)))
        if not within(60, lambda: any(map(runs, threads))) and others_run():
            pytest.skip("Other programs want the processors all the time.")
        assert within(60, lambda: any(map(runs, threads)))


@contextmanager
def computing(kernels: Kernels) -> Generator[list[int]]:
    """A thread that computes without a pause, with helpers, which are yielded."""
    before, begun, ended = threads_now(), Event(), Event()

    def compute() -> None:
        kernels.use_threads(THREADS)
        while not ended.is_set():
            products(kernels, 50)
            begun.set()

    thread = Thread(target=compute)
    thread.start()
    try:
        begun.wait()
        yield list(threads_now() - before - {thread.native_id})
    finally:
        ended.set()
        thread.join()


def runs(thread: int) -> bool:
    """Whether a thread runs within the next half second."""
    before = ran(thread)
    time.sleep(0.5)
    return ran(thread) > before


def others_run() -> bool:
    """Whether other programs keep a processor busy, beside this one's thread and its reader."""
    running: list[int] = []
    for _ in range(20):
        found = re.search(r"^procs_running (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
        assert found
        running.append(int(found[1]))
        time.sleep(0.05)
    return statistics.median(running) > 2


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
    return False

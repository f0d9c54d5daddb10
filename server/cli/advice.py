"""What would be slow or fail on a machine, and why."""

import os
from collections.abc import Iterator

from deltas.kernels.loading import ABSENT, SWITCH
from server.cli.machine import Machine
from server.system.memory import GIGABYTE
from server.system.need import Need

# The conversion of the embedded base writes half a gigabyte; a larger base needs more.
_LEAST_DISK = 2.0
_PROGRAM_BYTES = 600 << 20
"""What a server holds besides its base."""
_BASE_GIGABYTES = {"float32": 0.538, "bfloat16": 0.269, "float16": 0.269}
"""The embedded decoder, 134,515,008 parameters."""


def advice(machine: Machine) -> Iterator[str]:
    """Yield one line a finding; nothing to say yields nothing."""
    yield from _device(machine)
    yield from _precision(machine)
    yield from _kernels(machine)
    yield from _processors(machine)
    yield from _room(machine)


def demo_need(machine: Machine) -> Need:
    """What a server of the embedded decoder takes of the machine's memory."""
    on_cpu = machine.device == "cpu"
    weights = int(_BASE_GIGABYTES[machine.dtype] * 1e9)
    return Need(_PROGRAM_BYTES + weights, machine.kv_cache * on_cpu, machine.host_cache)


def single_stream_bound(machine: Machine) -> float:
    """Tokens a second that no single stream of the embedded decoder can pass on the processor.

    Every token reads every weight once.
    """
    size = _BASE_GIGABYTES["float32" if machine.device == "cuda" else machine.dtype]
    return machine.reading / size


def _device(machine: Machine) -> Iterator[str]:
    if not machine.gpus:
        yield (
            "No CUDA device: the base runs on the processor. One stream of the embedded decoder "
            f"gets at most {single_stream_bound(machine):.0f} tokens/s, for each token reads all "
            "weights; many streams share that reading, so send requests concurrently."
        )


def _precision(machine: Machine) -> Iterator[str]:
    single, half = machine.products["float32"], machine.products["bfloat16"]
    if half < single:
        yield (
            f"bfloat16 is emulated here (measured {half:.0f} GFLOP/s against {single:.0f} in "
            "float32): --dtype bfloat16 saves memory but is slower."
        )


def _kernels(machine: Machine) -> Iterator[str]:
    if machine.stale is not None:
        yield machine.stale
    elif machine.device == "cpu" and machine.kernels is None:
        off = os.environ.get(SWITCH) == "off"
        yield f"{SWITCH}=off: plain PyTorch runs, several times slower." if off else ABSENT


def _processors(machine: Machine) -> Iterator[str]:
    threads, found = machine.threads, machine.processors
    if threads > found.threads:
        yield (
            f"{threads} threads wait for each other where {found.threads} keep all that is usable "
            "busy: leave --threads out."
        )
    elif machine.device == "cpu" and threads < found.threads:
        yield f"Of {found.threads} threads that could compute {threads} do: leave --threads out."
    elif found.quota is not None and threads > found.usable:
        yield (
            f"The quota of {found.quota.processors:g} processors is no whole number: threads use "
            "it up before its period ends and are stopped until the next, so that some tokens "
            f"come late. A quota of {threads} (docker run --cpus {threads}) has none of that."
        )


def _room(machine: Machine) -> Iterator[str]:
    left, need = machine.memory.left, demo_need(machine)
    if left is not None and left < need.now + need.later:
        yield (
            f"{left / GIGABYTE:.1f} GB of memory are left, and a server of the embedded decoder "
            f"takes {need}: lower --kv-cache-gb or --host-cache-gb."
        )
    if machine.free_disk < _LEAST_DISK:
        yield (
            f"{machine.free_disk:.1f} GB of disk are free in the cache directory; converting a "
            "base may fail. Point --cache at another disk."
        )

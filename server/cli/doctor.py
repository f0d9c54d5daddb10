"""`polydelta doctor`: what this machine has, what would be slow, and why."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from server.cli.flags import Format, flag
from server.cli.printing import err, out, print_json, print_table
from server.system.memory import GIGABYTE, Memory
from server.system.processors import Processors
from server.user_directories import user_cache

_AS_TOLD = "As a server would be told."

Threads = Annotated[int | None, flag("threads", min=1, help=_AS_TOLD)]
KvCache = Annotated[float, flag("kv-cache-gb", min=0, help=_AS_TOLD)]
HostCache = Annotated[float, flag("host-cache-gb", min=0, help=_AS_TOLD)]

_TOLD = {
    "COMMANDLINE": "--threads",
    "ENVIRONMENT": "POLYDELTA_THREADS",
    "DEFAULT_MAP": "the settings file",
}


def doctor(
    context: typer.Context,
    threads: Threads = None,
    kv_cache_gb: KvCache = 1.0,
    host_cache_gb: HostCache = 1.0,
    output: Format = "text",
) -> None:
    """Show what this machine has, what would be slow, and why."""
    err.print("Looking at this machine …")
    # Torch takes seconds to import, which the other commands do without.
    from server.cli.advice import advice, demo_need
    from server.cli.machine import Machine, inspect_machine

    def rows(machine: Machine) -> list[tuple[str, str]]:
        gpus = [f"{gpu.name}, {gpu.memory:.0f} GB" for gpu in machine.gpus]
        speeds = [f"{speed:.0f} GFLOP/s {dtype}" for dtype, speed in machine.products.items()]
        return [
            ("versions", ", ".join(f"{name} {text}" for name, text in machine.versions.items())),
            ("processor", machine.processor),
            ("instructions", ", ".join(machine.instructions) or "none that matter"),
            ("processors", describe_processors(machine.processors)),
            ("threads", f"{machine.threads}, {told or _threads(machine.processors)}"),
            ("measured", f"{', '.join(speeds)}, reading {machine.reading:.0f} GB/s"),
            ("memory", describe_memory(machine.memory)),
            ("a demo takes", str(demo_need(machine))),
            ("disk", f"{machine.free_disk:.0f} GB free for the cache"),
            ("CUDA", "; ".join(gpus) or "none"),
            ("compiler", machine.compiler or "none"),
            ("kernels", machine.kernels or "none: plain PyTorch runs"),
            ("auto picks", f"--device {machine.device} --dtype {machine.dtype}"),
        ]

    source = context.get_parameter_source("threads")
    told = f"as {_TOLD[source.name]} says" if threads and source else None
    caches = (int(size * GIGABYTE) for size in (kv_cache_gb, host_cache_gb))
    with _unlogged():
        machine = inspect_machine(user_cache(), threads, *caches)
    findings = list(advice(machine))
    if output == "json":
        return print_json({"machine": machine, "advice": findings})
    print_table(("MACHINE", ""), rows(machine))
    out.print()
    for line in findings or ["Nothing here will be slow."]:
        out.print(f"• {line}", markup=False)
    return None


@contextmanager
def _unlogged() -> Generator[None]:
    """Have nothing logged of what advice says."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def describe_processors(found: Processors) -> str:
    """How many this process may use, and what leaves it no more."""
    reasons = [f"{found.usable:g} of {found.present} usable"]
    if found.allowed < found.present:
        reasons.append(f"affinity allows {found.allowed}")
    if found.cores < found.allowed:
        reasons.append(f"those allowed lie on {found.cores} cores")
    if found.quota is not None:
        quota = found.quota
        reasons.append(f"the control group's quota is {quota.processors:g} ({quota.file})")
    return ", ".join(reasons)


def describe_memory(found: Memory) -> str:
    """How much there is and what of it is free, and what leaves this process no more."""
    parts = [] if found.total is None else [f"{found.total / GIGABYTE:.1f} GB"]
    if found.free is not None:
        parts.append(f"{found.free / GIGABYTE:.1f} GB available")
    if found.limit is not None and (found.total is None or found.limit.bytes < found.total):
        limit = found.limit
        parts.append(
            f"the control group's limit is {limit.bytes / GIGABYTE:.1f} GB, "
            f"{limit.used / GIGABYTE:.1f} GB taken ({limit.file})"
        )
    return ", ".join(parts) or "unknown"


def _threads(found: Processors) -> str:
    """Why that many of them compute."""
    return "one a core" if found.cores <= found.usable else "as many as the quota keeps busy"

"""`polydelta doctor`: what this machine has, what would be slow, and why."""

from server.cache import user_cache
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table


def doctor(output: Format = "text") -> None:
    """Show what this machine has, what would be slow, and why."""
    err.print("Looking at this machine …")
    # Torch takes seconds to import, which the other commands do without.
    from server.cli.advice import advice
    from server.cli.machine import Machine, inspect_machine

    def rows(machine: Machine) -> list[tuple[str, str]]:
        gpus = [f"{gpu.name}, {gpu.memory:.0f} GB" for gpu in machine.gpus]
        speeds = [f"{speed:.0f} GFLOP/s {dtype}" for dtype, speed in machine.products.items()]
        return [
            ("versions", ", ".join(f"{name} {text}" for name, text in machine.versions.items())),
            ("processor", f"{machine.processor}, {machine.cores:g} cores usable"),
            ("instructions", ", ".join(machine.instructions) or "none that matter"),
            ("threads", str(machine.threads)),
            ("measured", f"{', '.join(speeds)}, reading {machine.reading:.0f} GB/s"),
            ("memory", f"{machine.memory:.1f} GB, {machine.free_memory:.1f} GB available"),
            ("disk", f"{machine.free_disk:.0f} GB free for the cache"),
            ("CUDA", "; ".join(gpus) or "none"),
            ("compiler", machine.compiler or "none"),
            ("kernels", machine.kernels or "none: plain PyTorch runs"),
            ("auto picks", f"--device {machine.device} --dtype {machine.dtype}"),
        ]

    machine = inspect_machine(user_cache())
    findings = list(advice(machine))
    if output == "json":
        return print_json({"machine": machine, "advice": findings})
    print_table(("MACHINE", ""), rows(machine))
    out.print()
    for line in findings or ["Nothing here will be slow."]:
        out.print(f"• {line}", markup=False)
    return None

"""`polydelta bench layouts`: how fast kernels compute each sort of layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table

if TYPE_CHECKING:
    from server.bench.layouts import Layout

_SEQUENCES, _STEPS = (1, 16), 41


def print_layouts(names: Sequence[str], wanted: str | None, output: Format) -> None:
    """Measure shapes by kernels and by modules, at the precision `wanted`, and print both."""
    # Torch takes seconds to import, which the other commands do without.
    import torch

    from server.bench.layouts import layouts
    from server.bench.shapes import SHAPES
    from server.model.precision import choose_dtype
    from server.system.processors import processors

    dtype = choose_dtype(wanted or "auto", torch.device("cpu"))
    threads = processors().threads
    chosen = names or list(SHAPES)
    err.print(f"Measuring {', '.join(chosen)} in {dtype} with {threads} threads …", markup=False)
    found: list[Layout] = []
    for each in layouts(chosen, dtype, threads, _SEQUENCES, _STEPS):
        err.print(f"{each.shape}, {each.sequences} at once: {each.faster:.2f} x", markup=False)
        found.append(each)
    if output == "json":
        return print_json(found)
    out.print("Milliseconds a step; x: modules / kernels; kept: bare / 8 LoRAs mixed\n")
    print_table(
        ("SHAPE", "SEQUENCES", "KERNELS", "MODULES", "X", "8 LORAS", "KEPT"),
        (
            (
                each.shape,
                each.sequences,
                f"{each.kernels:.2f}",
                f"{each.modules:.2f}",
                f"{each.faster:.2f}",
                f"{each.mixed:.2f}",
                f"{each.kept:.2f}",
            )
            for each in found
        ),
    )
    return None

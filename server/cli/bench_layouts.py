"""`polydelta bench layouts`: how fast kernels compute each sort of layers."""

from collections.abc import Sequence

from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table
from server.settings import Settings

_SEQUENCES, _STEPS = (1, 16), 41


def print_layouts(names: Sequence[str], settings: Settings, output: Format) -> None:
    """Measure shapes by kernels and by modules, and print both."""
    # Torch takes seconds to import, which the other commands do without.
    import torch

    from server.bench.layouts import layouts
    from server.bench.shapes import SHAPES
    from server.build import count_threads
    from server.model.precision import choose_dtype

    dtype = choose_dtype(settings.dtype, torch.device("cpu"))
    threads = count_threads(settings)
    chosen = names or list(SHAPES)
    err.print(f"Measuring {', '.join(chosen)} in {dtype} with {threads} threads …", markup=False)
    found = list(layouts(chosen, dtype, threads, _SEQUENCES, _STEPS))
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

"""`polydelta bench fidelity`: what precision and quantisation cost a base."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from server.bench.errors import BenchError
from server.bench.text import own_text
from server.cli.flags import Format
from server.cli.printing import err, out, print_json, print_table, size
from server.settings import Settings

if TYPE_CHECKING:
    from server.bench.fidelity import Fidelity


def print_fidelity(settings: Settings, text: Path | None, output: Format) -> None:
    """Read a text with a base as it is served and in float32, and print how they differ."""
    err.print(f"Reading {text or 'the licence and the README'} with {settings.base} …")
    # Torch takes seconds to import, which the other commands do without.
    from server.bench.fidelity import fidelity

    found = fidelity(settings, _read(text) if text else own_text())
    if output == "json":
        return print_json(found)
    served = f"{found.dtype}, {'int8' if found.quantized else 'not quantised'}"
    out.print(f"{found.base}: {served}, {found.positions} positions\n", markup=False)
    print_table(("", "SERVED", "FLOAT32"), _rows(found))
    return None


def _read(text: Path) -> str:
    try:
        return text.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BenchError(f"{text} is no text in UTF-8; give another with --text.") from error


def _rows(found: "Fidelity") -> Iterator[tuple[str, str, str]]:
    yield "perplexity", f"{found.perplexity:.3f}", f"{found.exact_perplexity:.3f}"
    yield "likeliest token the same", f"{found.alike:.1%}", ""
    yield "divergence from float32, nats a token", f"{found.divergence:.5f}", ""
    yield "weights", size(found.weights), ""

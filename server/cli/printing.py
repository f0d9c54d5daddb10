"""How commands print: results to standard output, everything else to standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_ENDLESS = 100_000

# Where no terminal shows it, a row of a table is one line, for other programs to read.
_WIDTH = None if sys.stdout.isatty() else _ENDLESS

out = Console(highlight=False, soft_wrap=True, emoji=False, width=_WIDTH)
err = Console(highlight=False, soft_wrap=True, emoji=False, stderr=True)


def print_json(value: Any) -> None:
    """Print plain values, dataclasses and paths as JSON."""
    print_text(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_text(text: str, end: str = "\n") -> None:
    """Print a text as it is: to Rich, even tabs would be something to lay out."""
    out.file.write(text + end)
    out.file.flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; numbers stand to the right."""
    lines = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, heading in enumerate(headings):
        numeric = all(isinstance(line[column], int | float) for line in lines) and bool(lines)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(_cell(value) for value in line))
    out.print(table)


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def moment(seconds: float) -> str:
    """A time since the epoch for people, where they are."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _cell(value: object) -> str:
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")

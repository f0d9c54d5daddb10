"""Progress of what takes minutes, on standard error."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import Progress

from server.cli.printing import err


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[], None]]:
    """Show a bar meanwhile; yields what to call after each of `total` steps."""
    with Progress(console=err, transient=True) as shown:
        bar = shown.add_task(title, total=total)
        yield lambda: shown.advance(bar)

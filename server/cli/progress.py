"""Progress of what takes minutes, on standard error."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from server.cli.printing import err


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[], None]]:
    """Show a bar meanwhile; yields what to call after each of `total` steps."""
    with Progress(console=err, transient=True) as shown:
        bar = shown.add_task(title, total=total)
        yield lambda: shown.advance(bar)


@contextmanager
def downloads() -> Generator[Callable[[str, int, int], None]]:
    """Show a bar for each thing that is fetched.

    Yields what to tell of its name, how many bytes have come, and of how many.
    """
    shown = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=err)
    bars: dict[str, TaskID] = {}

    def tell(name: str, received: int, known: int) -> None:
        # Nothing is drawn over other lines until there is something to show.
        shown.start()
        if name not in bars:
            bars[name] = shown.add_task(name)
        shown.update(bars[name], completed=received, total=known)

    try:
        yield tell
    finally:
        shown.stop()

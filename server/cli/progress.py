"""Progress of what takes minutes, on standard error."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from polydelta_client import Source
from server.cli.printing import err


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[], None]]:
    """Show a bar meanwhile; yields what to call after each of `total` steps."""
    with Progress(console=err, transient=True) as shown:
        bar = shown.add_task(title, total=total)
        yield lambda: shown.advance(bar)


@contextmanager
def upload(name: str, source: str) -> Generator[Source]:
    """Show bars while the files of a directory here, or a file, are sent; yields what to send.

    Where no terminal shows them, or nothing is sent, that is the source itself.
    """
    path = Path(source).expanduser()
    if not err.is_terminal or not path.exists():
        with err.status(f"Adding {name} …"):
            yield source
        return
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [each for each in inside if each.is_file() and not each.name.startswith(".")]
    with ExitStack() as stack, _sizes() as shown:
        opened = {
            each.name: stack.enter_context(shown.open(each, "rb", description=each.name))
            for each in files
        }
        yield opened or source


@contextmanager
def downloads() -> Generator[Callable[[str, int, int], None]]:
    """Show a bar for each thing that is fetched.

    Yields what to tell of its name, how many bytes have come, and of how many.
    """
    shown = _sizes()
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


def _sizes() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    return Progress(*columns, console=err)

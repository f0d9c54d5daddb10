"""Progress of what takes minutes, on standard error."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from polydelta_client import Polydelta, PolydeltaError, Source
from server.cli.printing import err

_EVERY = 0.5
"""Seconds between looks at how much has come."""

_PATIENCE = 5.0
"""Seconds that one look may take."""


@contextmanager
def progress(title: str, total: int) -> Generator[Callable[[], None]]:
    """Show a bar meanwhile; yields what to call after each of `total` steps."""
    with Progress(console=err, transient=True) as shown:
        bar = shown.add_task(title, total=total)
        yield lambda: shown.advance(bar)


@contextmanager
def upload(client: Polydelta, name: str, source: str) -> Generator[Source]:
    """Show bars while a directory's files, or a file, are sent or fetched; yields what to send.

    Where no terminal shows them, or nothing is sent, that is the source itself.
    """
    path = Path(source).expanduser()
    if err.is_terminal and "://" in source:
        with _fetching(client, name):
            yield source
        return
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
def _fetching(client: Polydelta, name: str) -> Generator[None]:
    """Show how much a server has fetched of a task's delta meanwhile, as far as it tells."""
    ended = Event()
    with _sizes(transient=True) as shown:
        bar = shown.add_task(f"Adding {name} …", total=None)

        def watch() -> None:
            # Whoever may put a task need not be allowed to read: then the bar has no end.
            with suppress(PolydeltaError):
                while not ended.wait(_EVERY):
                    for each in client.tasks.transfers(max_retries=0, timeout=_PATIENCE):
                        if each.task == name and each.known:
                            shown.update(bar, completed=each.received, total=each.known)

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


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


def _sizes(*, transient: bool = False) -> Progress:
    # Names are shown as they are, brackets and all.
    title = TextColumn("{task.description}", markup=False)
    return Progress(title, BarColumn(), DownloadColumn(), console=err, transient=transient)

"""Starting a server in this process, telling the user what happens meanwhile."""

import os
import socket
from collections.abc import Callable

from server.cli.printing import err
from server.cli.progress import downloads
from server.listening import listening
from server.logs import log_to_stderr
from server.settings import Settings
from server.system.heap import share_arenas


def start(settings: Settings, fetch: Callable[[], None] | None = None) -> None:
    """Load the base and its tasks, print what to try, and serve until a signal.

    `fetch` gets what is missing, once the port is taken.
    """
    log_to_stderr(settings.log_level, as_json=settings.log_format == "json")
    with listening(settings) as sockets:
        if fetch is not None:
            fetch()
        _start(settings, sockets)


def _start(settings: Settings, sockets: list[socket.socket]) -> None:
    share_arenas()
    err.print("Loading Torch and Transformers …")
    # The rest of the command line answers at once because only this waits for Torch.
    from server.build import build_engine
    from server.cli.examples import example_lines
    from server.serve import serve
    from server.traces.setup import configure

    err.print(f"Loading {settings.base} …")
    with downloads() as shown:
        engine = build_engine(settings, shown)
    if engine.base.revision:
        err.print(f"The base is {engine.base.name}@{engine.base.revision}.", highlight=False)
    url = f"http://{_in_url(settings.host)}:{sockets[0].getsockname()[1]}"
    count = len(engine.registry.all())
    err.print(f"\n[bold]{engine.base.name}[/] with {count} tasks. Open in a browser:\n\n{url}/\n")
    err.print("Or try, in another shell:\n")
    for line in example_lines(url, engine):
        err.print(line, markup=False)
    err.print()
    configure(os.environ)
    serve(engine, settings, sockets)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""The server under measurement: one that runs, or one that is started for it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from server.bench.process import server


@dataclass(frozen=True)
class Subject:
    """A server's address, if it runs already, and the base it has or is to be started with.

    `settings` are a server's, by name; what they leave out is the server's own affair. `quota` is
    how many processors one that is started may use.
    """

    url: str | None
    base: str
    settings: Mapping[str, str]
    quota: float | None = None

    @contextmanager
    def serve(self, tasks: int, **more: str) -> Generator[str]:
        """Yield the server's URL; one that is started has room for `tasks` deltas at once."""
        if self.url is not None:
            yield self.url
            return
        settings = {"max_deltas": str(tasks), **self.settings, **more}
        flags = [(f"--{name.replace('_', '-')}", value) for name, value in settings.items()]
        arguments = [self.base, *(text for pair in flags for text in pair)]
        with server(arguments, self.quota) as url:
            yield url

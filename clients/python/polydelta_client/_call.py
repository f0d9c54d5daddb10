"""A request and the reading of its answer, as one value."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import httpx2

from ._settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the reading of its answer."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    json: object = None
    files: list[Path] = field(default_factory=list[Path])
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @contextmanager
    def request(
        self, build: Callable[..., httpx2.Request], settings: Settings
    ) -> Generator[httpx2.Request]:
        """Build the request anew for one attempt; the files are open while it is sent."""
        with ExitStack() as stack:
            files = [
                (path.name, (path.name, stack.enter_context(path.open("rb"))))
                for path in self.files
            ]
            yield build(
                self.method,
                settings.base_url + self.path,
                json=self.json,
                files=files or None,
                headers=settings.headers | self.headers,
                timeout=settings.timeout,
            )

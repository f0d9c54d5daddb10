"""A request and the reading of its answer, as one value."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx2

from ._files import Files, opened
from ._settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the reading of its answer."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    json: object = None
    files: Files = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @contextmanager
    def request(
        self, build: Callable[..., httpx2.Request], settings: Settings
    ) -> Generator[httpx2.Request]:
        """Build the request anew for one attempt; the files are open while it is sent."""
        with ExitStack() as stack:
            yield build(
                self.method,
                settings.base_url + self.path,
                json=self.json,
                files=opened(self.files, stack) or None,
                headers={**settings.headers, **self.headers},
                timeout=settings.timeout,
            )


Plan = Generator[Call[Any], Any, T]
"""Several calls, one after the other, and what comes of their answers; nothing is sent here."""

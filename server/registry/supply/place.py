"""The interface of places where blobs may be."""

from contextlib import AbstractContextManager
from typing import Protocol

from server.registry.sources.remote import Remote
from server.registry.sources.transfer import Transfer


class Place(Protocol):
    """Holds blobs, perhaps not all of them."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    def blob(self, digest: str, transfer: Transfer) -> AbstractContextManager[Remote]:
        """The files of a blob, of which none may be there."""
        ...

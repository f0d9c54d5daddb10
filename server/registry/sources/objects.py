"""Object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

Where they are and who asks comes from the environment alone, as their own tools read it (AWS_…,
GOOGLE_…, AZURE_…); a source names no more than a bucket and a prefix.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from server.errors import SourceUnavailable
from server.registry.sources.address import Address
from server.registry.sources.remote import Cut, Opened
from server.registry.sources.transfer import Transfer

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ClientConfig, RetryConfig

_READ_SECONDS = timedelta(seconds=15)


def open_store(
    address: Address, seconds: float, *, private: bool
) -> S3Store | GCSStore | AzureStore:
    """A store of the objects beneath a prefix, each of whose requests may take so long.

    Raises SourceUnavailable where the environment does not say how it is reached.
    """
    client: ClientConfig = {
        "allow_http": private,
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": _READ_SECONDS,
        "timeout": timedelta(seconds=seconds),
    }
    # Whoever fetches tries again by itself, and looks at its bounds in between.
    retries: RetryConfig = {"max_retries": 0}
    try:
        return _STORES[address.scheme](
            address.host,
            prefix="/".join(address.path) or None,
            client_options=client,
            retry_config=retries,
        )
    except (BaseError, ValueError):
        # Their texts may hold what is in the environment.
        raise SourceUnavailable(_ADVICE[address.scheme]) from None


class Objects:
    """The objects beneath a prefix. A transfer that is cancelled ends with the next piece."""

    def __init__(self, address: Address, transfer: Transfer, private: bool) -> None:
        self._transfer = transfer
        self._advice = _ADVICE[address.scheme]
        self._store = open_store(address, max(1.0, transfer.left()), private=private)

    @contextmanager
    def open(self, name: str, start: int = 0, tag: str | None = None) -> Generator[Opened | None]:
        """Begin to read an object, or go on with it."""
        options: GetOptions = {"range": {"offset": start}} if start else {}
        if tag is not None:
            options["if_match"] = tag
        try:
            found = obstore.get(self._store, name, options=options)
        except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
            # Who may not list a bucket is told of nothing that it is absent.
            yield None
            return
        except PreconditionError:
            raise SourceUnavailable(f"{name} changed while it was fetched; try again.") from None
        except BaseError:
            raise Cut(self._advice) from None
        yield Opened(found.meta["size"], found.meta["e_tag"], None, self._pieces(found))

    def _pieces(self, found: "GetResult") -> Iterator[bytes]:
        # Pieces as they come, however small: their pace is held to a bound.
        stream = iter(found.stream(min_chunk_size=1))
        while True:
            self._transfer.check()
            began = time.monotonic()
            try:
                piece = next(stream, None)
            except BaseError:
                raise Cut("the connection broke") from None
            self._transfer.waited(time.monotonic() - began)
            if piece is None:
                return
            yield bytes(piece)


_STORES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

_ADVICE = {
    scheme: (
        f"the object store cannot be reached as {names} in the server's environment say, or an "
        "endpoint of plain http is not allowed (--private-sources)"
    )
    for scheme, names in {"s3": "AWS_…", "gs": "GOOGLE_…", "az": "AZURE_…"}.items()
}

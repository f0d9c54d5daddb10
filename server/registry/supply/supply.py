"""The supply: brings blobs that the store lacks from where they are."""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from deltas.errors import InvalidDelta, PolydeltaError
from server.errors import DeltaUnavailable
from server.registry.sources.fetch import fetch
from server.registry.sources.transfer import Bounds, Transfer
from server.registry.store import Store
from server.registry.supply.peers import Peers
from server.registry.supply.place import Place

if TYPE_CHECKING:
    # Only who has one waits for its library to be loaded.
    from server.registry.supply.bucket import Bucket

_log = logging.getLogger(__name__)

_WANTED_AT_ONCE = 4
_AHEAD_AT_ONCE = 2
_BACKOFF_SECONDS = 2.0


class Supply:
    """Fetches blobs by their digests, each once at a time, on threads of its own; thread-safe.

    What a request waits for does not queue behind what is fetched ahead of any. They are looked for
    in the bucket, if there is one, and then among the peers.
    """

    def __init__(self, store: Store, peers: Peers, bucket: "Bucket | None", bounds: Bounds) -> None:
        self._store = store
        self._peers = peers
        self._bucket = bucket
        self._bounds = bounds
        self._lock = Lock()
        self._missing: set[str] = set()
        self._wanted: dict[str, Future[None]] = {}
        self._ahead: dict[str, Future[None]] = {}
        self._failed: dict[str, float] = {}
        self._transfers: set[Transfer] = set()
        self._closed = False
        self._for_requests = ThreadPoolExecutor(_WANTED_AT_ONCE, thread_name_prefix="supply")
        self._in_advance = ThreadPoolExecutor(_AHEAD_AT_ONCE, thread_name_prefix="supply-ahead")

    def start(self) -> None:
        """Have others fetch from here, if they can reach this server."""
        self._peers.start()

    def share(self, digest: str) -> None:
        """Put a blob of the store into the bucket; raises RegistryUnavailable if that fails."""
        if self._bucket is not None:
            self._bucket.put(digest, self._store.path(digest))

    def confirm(self, digest: str) -> None:
        """See that a blob is still there, now that the registry names it; what fails is logged."""
        if self._bucket is not None:
            try:
                self._bucket.confirm(digest, self._store.path(digest))
            except PolydeltaError as error:
                _log.warning("A delta may be missing in %s: %s", self._bucket.name, error)

    def expect(self, digests: Iterable[str]) -> None:
        """Begin to fetch those blobs that the store lacks."""
        for digest in digests:
            if not self._store.has(digest):
                with self._lock, suppress(RuntimeError):
                    self._missing.add(digest)
                    if digest not in self._wanted and digest not in self._ahead:
                        self._ahead[digest] = self._in_advance.submit(self._bring, digest)

    def lacks(self, digest: str) -> bool:
        """Whether a blob that was expected has not come yet; no disk is asked."""
        return digest in self._missing

    def forget(self, digest: str) -> None:
        """Expect a blob no more."""
        with self._lock:
            self._missing.discard(digest)
            self._failed.pop(digest, None)

    def bring(self, digest: str) -> "Future[None]":
        """Have a blob that somebody waits for; the result raises DeltaUnavailable without it."""
        with self._lock:
            self._missing.add(digest)
            coming = self._wanted.get(digest)
            if coming is None:
                ahead = self._ahead.get(digest)
                if ahead is not None and not ahead.cancel():
                    return ahead
                coming = self._wanted[digest] = self._for_requests.submit(self._bring, digest)
            return coming

    def close(self) -> None:
        """Give up what is under way, and have nobody ask here any more."""
        self._peers.close()
        self._closed = True
        for transfer in list(self._transfers):
            transfer.cancel()
        self._in_advance.shutdown(cancel_futures=True)
        self._for_requests.shutdown(cancel_futures=True)

    def _bring(self, digest: str) -> None:
        try:
            if not self._store.is_whole(digest):
                self._look_around(digest)
            with self._lock:
                self._missing.discard(digest)
        finally:
            with self._lock:
                self._wanted.pop(digest, None)
                self._ahead.pop(digest, None)

    def _look_around(self, digest: str) -> None:
        if self._failed.get(digest, 0.0) <= time.monotonic():
            for place in (*((self._bucket,) if self._bucket else ()), *self._peers.places()):
                try:
                    self._fetch(digest, place)
                except PolydeltaError as error:
                    _log.warning("A delta could not be had from %s: %s", place.name, error)
                else:
                    return
            self._failed[digest] = time.monotonic() + _BACKOFF_SECONDS
        raise DeltaUnavailable(
            "The delta's files are not in this server's store, and no other place that it knows "
            "of has them; try again shortly, or put it again."
        )

    def _fetch(self, digest: str, place: Place) -> None:
        transfer = Transfer(f"{place.name} ({digest[:12]})", self._bounds)
        self._transfers.add(transfer)
        if self._closed:
            transfer.cancel()
        try:
            with self._store.stage() as staging:
                with place.blob(digest, transfer) as remote:
                    fetch(remote, staging, transfer)
                if staging.digest != digest:
                    raise InvalidDelta(f"It came with the digest {staging.digest}.")
                # The catalogue needs it, so that nobody removes it afterwards.
                with self._store.keeping(staging, digest):
                    pass
        finally:
            self._transfers.discard(transfer)

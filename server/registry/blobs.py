"""Blobs: the files of versions, from this server's store or brought there from elsewhere."""

from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.errors import DeltaError
from deltas.strict_json import Json
from server.errors import DeltaUnavailable, UnsignedDelta
from server.registry.signatures import Signatures
from server.registry.store import Store
from server.registry.supply.supply import Supply


class Blobs:
    """Deltas of one base as they lie on disk; thread-safe and blocking.

    Raises DeltaUnavailable for files that are gone or damaged and not to be had elsewhere.
    """

    def __init__(
        self,
        store: Store,
        base: BaseSpec,
        dtype: torch.dtype,
        supply: Supply | None,
        signatures: Signatures | None,
    ) -> None:
        self._store = store
        self._base = base
        self._dtype = dtype
        self._supply = supply
        self._signatures = signatures

    def load(self, ref: DeltaRef) -> Delta:
        """Read a version's tensors; of files that have to be fetched nobody waits for here."""
        if not self._store.is_whole(ref.digest):
            raise self._lost(ref)
        with _readable(ref):
            try:
                self._hold(ref)
            except UnsignedDelta as error:
                raise DeltaUnavailable(
                    f"Version {ref.version} of task '{ref.task}' is not served: {error}"
                ) from error
            return formats.load(self._store.path(ref.digest), self._base, self._dtype)

    def card(self, ref: DeltaRef) -> dict[str, Json]:
        """What a version says about how it came about; the bare base says nothing."""
        with _readable(ref):
            return formats.card_of(self._store.path(ref.digest)) if ref.digest else {}

    def check(self, ref: DeltaRef) -> None:
        """Have a version's files here, whole; reads them all. Raises UnsignedDelta, too."""
        if not self._store.is_whole(ref.digest):
            if self._supply is None:
                raise self._lost(ref)
            self._supply.bring(ref.digest).result()
        self._hold(ref)

    def coming(self, ref: DeltaRef) -> "Future[None] | None":
        """What to wait for before a version is loaded: its files come from elsewhere."""
        if self._supply is None or not self._supply.lacks(ref.digest):
            return None
        return self._supply.bring(ref.digest)

    def share(self, digest: str) -> None:
        """Put a blob wherever all servers find it, if there is such a place."""
        if self._supply is not None:
            self._supply.share(digest)

    def confirm(self, digest: str) -> None:
        """See that a blob that was shared is still there, now that it is needed."""
        if self._supply is not None:
            self._supply.confirm(digest)

    def file(self, digest: str, name: str) -> Path | None:
        """Where a file is for another server to fetch."""
        return self._store.file(digest, name)

    def _hold(self, ref: DeltaRef) -> None:
        if self._signatures is not None:
            self._signatures.check(self._store.path(ref.digest))

    def _lost(self, ref: DeltaRef) -> DeltaUnavailable:
        what = f"The files of version {ref.version} of task '{ref.task}' are gone from the store"
        if self._supply is None:
            return DeltaUnavailable(f"{what} or damaged; put them again.")
        # The next request waits for them.
        self._supply.bring(ref.digest)
        return DeltaUnavailable(f"{what} or damaged; they are looked for elsewhere. Try again.")


@contextmanager
def _readable(ref: DeltaRef) -> Generator[None]:
    try:
        yield
    except (OSError, DeltaError) as error:
        raise DeltaUnavailable(
            f"The delta of task '{ref.task}' could not be read from the store."
        ) from error

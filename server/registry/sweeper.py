"""The sweeper: a thread that removes blobs from the store once nothing needs them."""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from server.registry.catalogue.catalogue import Catalogue
from server.registry.rollout import Rollout
from server.registry.store import Store

_log = logging.getLogger(__name__)


class Sweeper:
    """Removes what neither the catalogue names nor a request uses; thread-safe."""

    def __init__(self, store: Store, catalogue: Catalogue, rollout: Rollout) -> None:
        self._store = store
        self._catalogue = catalogue
        self._rollout = rollout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry-sweeper")
        # Who starts a thread where memory is exhausted may wait for it for ever.
        self._thread.submit(int).result()

    def soon(self, digests: Iterable[str]) -> None:
        """Remove what is not needed of some blobs; whoever asks waits for no disk."""
        wanted = frozenset(digests)
        # The server may be ending: the next one sweeps.
        with suppress(RuntimeError):
            if wanted:
                self._thread.submit(self.now, wanted)

    def now(self, digests: Iterable[str]) -> None:
        """Remove what is not needed of some blobs; an error is logged."""
        try:
            self._store.sweep(digests, self._needed)
        except Exception as error:
            _log.error("The store could not be swept: %s", error)

    def settle(self) -> None:
        """Wait until what was to be removed soon is."""
        with suppress(RuntimeError):
            self._thread.submit(int).result()

    def close(self) -> None:
        """Remove what was to be removed soon, and nothing more."""
        self._thread.shutdown()

    def _needed(self, digests: set[str]) -> set[str]:
        return self._catalogue.needed(digests) | digests & self._rollout.held()

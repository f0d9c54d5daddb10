"""The checker: reads each delta that is put once, and tells what is wrong with it."""

import logging
import time
from collections.abc import Callable
from threading import Lock

import torch

from deltas import formats
from deltas.base import BaseSpec
from deltas.delta import Delta, DeltaRef
from deltas.probe import warnings_of
from server.errors import InsufficientMemory
from server.registry.staging import Staging
from server.registry.store import Store
from server.registry.version import Version
from server.system import heap
from server.system.memory import memory

_log = logging.getLogger(__name__)

_COPIES = 2
"""A delta as it is read, and as it is prepared for the device."""

_WORTH_GIVING_BACK = 16 << 20
"""Bytes of deltas."""


class Checker:
    """Checks deltas for one base, one at a time where memory is taken; thread-safe.

    `vet` is asked of a delta's headers and raises DeltaError where it finds more that is wrong.
    """

    def __init__(
        self, store: Store, base: BaseSpec, dtype: torch.dtype, vet: Callable[[Delta], None]
    ) -> None:
        self._store = store
        self._base = base
        self._dtype = dtype
        self._vet = vet
        self._reading = Lock()
        self._read_since = 0

    def outline(self, staging: Staging) -> Delta:
        """Check a delta by its headers alone: what does not fit the base is never read."""
        outline = formats.outline(staging.path, self._base, self._dtype)
        self._vet(outline)
        return outline

    def read(self, ref: DeltaRef, size: int, hand_on: Callable[[DeltaRef, Delta], None]) -> Version:
        """Read a delta of `size` bytes that the store has, hand it on and describe it.

        Raises InsufficientMemory where there is too little for it.
        """
        # The memory that is there for one is there for one alone.
        with self._reading:
            try:
                return self._read(ref, size, hand_on)
            finally:
                self._give_back(size)

    def _read(
        self, ref: DeltaRef, size: int, hand_on: Callable[[DeltaRef, Delta], None]
    ) -> Version:
        left = memory().left
        if left is None or _COPIES * size <= left:
            try:
                delta = formats.load(self._store.path(ref.digest), self._base, self._dtype)
                warnings = warnings_of(delta, self._base)
                hand_on(ref, delta)
            except (MemoryError, RuntimeError) as error:
                if not heap.is_exhaustion(error):
                    raise
            else:
                for warning in warnings:
                    _log.warning("Task %s: %s", ref.task, warning)
                return Version.of(ref, delta, self._base, time.time(), warnings)
        # Raised out here, it holds none of the frames in which parts of the delta are.
        raise InsufficientMemory(
            f"The delta takes {size / (1 << 20):.0f} MiB of memory, twice while it is loaded, and "
            "the server has too little left. Try a smaller one, or have the operator give it more."
        )

    def _give_back(self, size: int) -> None:
        """Have memory given back once enough was read for that to be worth its time."""
        self._read_since += size
        if self._read_since >= _WORTH_GIVING_BACK:
            self._read_since = 0
            heap.give_back()

"""Residency: where each delta's tensors are now, and how they get to the device in time.

disk ── loader thread ──▶ host memory ── core thread, between steps ──▶ device slot

Whatever can be done to a delta beforehand is done on the loader thread; where the device is the
CPU, what is left for the core thread are a few numbers, and host memory is the device's own. What
is prepared while host memory is full is spilled as it is, and not prepared again.

Host memory is a HostCache, slots are a SlotTable. Deltas are read ahead of their turn while host
memory has room, or while few of the many it holds wait for slots; else only for a slot that is
there to take them, or they would push one another out unused.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Literal

import torch

from deltas.delta import Delta, DeltaRef
from deltas.errors import PolydeltaError
from deltas.slots import SlotTable
from deltas.wiring import Wiring
from server.engine.host import HostCache
from server.engine.quarantine import Quarantine
from server.engine.spill import Spill
from server.errors import DeltaUnavailable
from server.system.heap import is_exhaustion

_log = logging.getLogger(__name__)

_READ_AHEAD = 8
"""Deltas on their way to host memory at once."""

_LISTED = 256
"""Deltas in host memory that are named to whoever asks: there may be very many."""

Residence = Literal["device", "host", "disk"]


class Residency:
    """Brings deltas to the device and takes them away again.

    Everything belongs to the core thread but `offer`, `forget` and what only looks, which any may
    call. `load` reads a delta from disk on a thread of its own, where `loaded` is told when that
    began and ended, and `bell` rings; what was read is taken in by the next `settle`, so that
    nothing moves while a step is scheduled.
    """

    def __init__(
        self,
        wiring: Wiring,
        slots: int,
        host_bytes: int,
        load: Callable[[DeltaRef], Delta],
        bell: threading.Event,
        spill: Spill,
        loaded: Callable[[DeltaRef, float, float], None],
    ) -> None:
        self._wiring = wiring
        self._slots = SlotTable(slots)
        self._load = load
        self._bell = bell
        self._spill = spill
        self._loaded = loaded
        self._host = HostCache(host_bytes)
        self._loading: set[DeltaRef] = set()
        self._ahead: set[DeltaRef] = set()
        self._quarantine = Quarantine()
        self._unneeded: set[DeltaRef] = set()
        self._arrived: SimpleQueue[tuple[DeltaRef, Delta | PolydeltaError]] = SimpleQueue()
        self._offered: SimpleQueue[tuple[DeltaRef, Delta]] = SimpleQueue()
        self._forgotten: SimpleQueue[DeltaRef] = SimpleQueue()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="delta-loader")
        self._listed: tuple[DeltaRef, ...] = ()
        self._changed = False
        # Whoever asks while the process keeps to one thread computes alone for good.
        self._loader.submit(torch.get_num_threads).result()

    def acquire(self, ref: DeltaRef) -> int | None:
        """Pin a delta in a slot; None if it is still loading or every slot is pinned.

        Raises the error that its load ended with, or that it keeps crashing, until a short time
        has passed.
        """
        self._quarantine.check(ref)
        slot = self._slots.find(ref)
        if slot is None:
            delta = self._fetch(ref)
            if delta is None:
                return None
            slot = self._install(ref, delta)
            if slot is None:
                return None
        self._slots.pin(ref)
        return slot

    def pin(self, ref: DeltaRef) -> None:
        """Pin a delta once more that has been acquired, which nothing refuses."""
        self._slots.pin(ref)

    @property
    def full(self) -> bool:
        """Whether every slot is pinned."""
        return not self._slots.available

    def release(self, ref: DeltaRef) -> None:
        """Undo one acquire."""
        self._slots.unpin(ref)

    def blame(self, ref: DeltaRef) -> None:
        """Note that a row of a delta crashed its step; one that keeps doing so is left alone."""
        self._quarantine.blame(ref)

    def loading(self, ref: DeltaRef) -> bool:
        """Whether a delta is on its way to host memory."""
        return ref in self._loading

    def prefetch(self, ref: DeltaRef) -> None:
        """Start reading a delta that will be wanted, if there is room for it."""
        if self._slots.find(ref) is None:
            self._start_reading(ref, wanted_now=False)

    def offer(self, ref: DeltaRef, delta: Delta) -> None:
        """Keep a delta that was just read: in host memory, or spilled where that is full.

        Raises whatever says that there is no memory for it.
        """
        try:
            prepared = self._wiring.prepare(delta)
        except Exception as error:
            if is_exhaustion(error):
                raise
            # It can still be read when it is wanted, and will then be blamed for what is wrong.
            _log.exception("The delta of task '%s' could not be prepared.", ref.task)
            return
        if self._host.full:
            self._spill.write(ref, prepared)
        else:
            self._offered.put((ref, prepared))
            self._bell.set()

    def forget(self, ref: DeltaRef) -> None:
        """Let go of a delta that nothing refers to any more, at the next settle."""
        self._forgotten.put(ref)
        self._bell.set()

    def settle(self) -> None:
        """Take in what was read and drop what was forgotten, between steps."""
        while not self._arrived.empty():
            self._take_in(*self._arrived.get())
        while not self._offered.empty():
            ref, delta = self._offered.get()
            if self._host.full:
                self._loader.submit(self._spill.write, ref, delta)
            else:
                self._host.add(ref, delta)
            self._changed = True
        while not self._forgotten.empty():
            self._unneeded.add(self._forgotten.get())
        for ref in list(self._unneeded):
            if ref not in self._loading and not self._slots.pinned(ref):
                self._drop(ref)
        if self._changed:
            self._changed = False
            # The tables themselves change while others look.
            newest = islice(self._host.newest(), _LISTED)
            self._listed = tuple(dict.fromkeys([*self._slots, *newest]))

    @property
    def counts(self) -> tuple[int, int]:
        """How many deltas are in slots, and how many in host memory."""
        return len(self._slots), len(self._host)

    @property
    def listed(self) -> tuple[DeltaRef, ...]:
        """Deltas in memory: those in slots, and of the others the most recently used."""
        return self._listed

    def pinned(self, ref: DeltaRef) -> bool:
        """Whether rows at work keep a delta in its slot."""
        return self._slots.pinned(ref)

    def residence(self, ref: DeltaRef) -> Residence:
        """The nearest place where a delta's tensors are."""
        if self._slots.find(ref) is not None:
            return "device"
        return "host" if ref in self._host else "disk"

    def close(self) -> None:
        """Stop the loader after what it is at: it writes where the store will be removed."""
        self._loader.shutdown(cancel_futures=True)

    def _fetch(self, ref: DeltaRef) -> Delta | None:
        delta = self._host.get(ref)
        if delta is not None:
            return delta
        self._start_reading(ref, wanted_now=self._slots.available)
        return None

    def _start_reading(self, ref: DeltaRef, *, wanted_now: bool) -> None:
        known = ref in self._host or ref in self._loading or ref in self._quarantine
        if not known and len(self._loading) < max(int(wanted_now), self._room_ahead()):
            self._loading.add(ref)
            self._loader.submit(self._read, ref)

    def _room_ahead(self) -> int:
        """How many deltas may be on their way that no slot is there for yet."""
        if not self._host.full:
            return min(_READ_AHEAD, self._host.room)
        if len(self._host) < 2 * _READ_AHEAD:
            return 0
        # What was read and waits for its slot must not be pushed out by what is read next.
        self._ahead = {ref for ref in self._ahead if ref in self._host}
        return _READ_AHEAD - len(self._ahead)

    def _take_in(self, ref: DeltaRef, read: Delta | PolydeltaError) -> None:
        self._loading.discard(ref)
        if isinstance(read, Delta):
            self._host.add(ref, read)
            self._ahead.add(ref)
            self._changed = True
        else:
            self._quarantine.add(ref, read)

    def _drop(self, ref: DeltaRef) -> None:
        self._unneeded.discard(ref)
        # After all that the loader was given to write.
        self._loader.submit(self._spill.discard, ref)
        self._host.discard(ref)
        self._ahead.discard(ref)
        self._quarantine.forget(ref)
        slot = self._slots.drop(ref)
        self._changed = True
        if slot is not None:
            self._wiring.remove(slot)

    def _install(self, ref: DeltaRef, delta: Delta) -> int | None:
        claimed = self._slots.claim(ref)
        if claimed is None:
            return None
        slot, _ = claimed
        self._changed = True
        self._ahead.discard(ref)
        try:
            self._wiring.install(slot, delta)
        except Exception as error:
            self._slots.drop(ref)
            failure = _unreadable(ref, error)
            self._quarantine.add(ref, failure)
            raise failure from error
        return slot

    def _read(self, ref: DeltaRef) -> None:
        began = time.monotonic()
        try:
            delta = self._spill.read(ref) or self._prepare(ref)
            self._loaded(ref, began, time.monotonic())
            self._arrived.put((ref, delta))
        except DeltaUnavailable as error:
            self._arrived.put((ref, error))
        except Exception as error:
            self._arrived.put((ref, _unreadable(ref, error)))
        self._bell.set()

    def _prepare(self, ref: DeltaRef) -> Delta:
        delta = self._wiring.prepare(self._load(ref))
        if self._host.full:
            self._spill.write(ref, delta)
        return delta


def _unreadable(ref: DeltaRef, error: Exception) -> DeltaUnavailable:
    return DeltaUnavailable(
        f"The delta of task '{ref.task}' could not be loaded ({type(error).__name__}); "
        "it will be tried again in a few seconds."
    )

"""The spill: prepared deltas on disk, so that one which comes back costs its read alone."""

import logging
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

import torch

from deltas.delta import Delta, DeltaRef, Part
from deltas.kernels.memory import stretch, to_line

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """One tensor's bytes in a file."""

    start: int
    end: int
    dtype: torch.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Form:
    """Parts without memory, and where their tensors' bytes are, each at the start of a cache line.

    Deltas of one form share it, for as long as there are any.
    """

    parts: tuple[Part, ...]
    places: tuple[tuple[_Place, ...], ...]
    size: int


@dataclass(frozen=True, slots=True)
class _Spilled:
    path: Path
    delta: Delta
    form: _Form


class Spill:
    """Files of one server's own, each the memory of one prepared delta; thread-safe.

    Nobody else writes them and no other process reads them: nothing is checked again. Where the
    disk fails, a delta is as if it were not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._spilled: dict[DeltaRef, _Spilled] = {}
        self._forms = WeakValueDictionary[Hashable, _Form]()
        self._numbers = count()

    def write(self, ref: DeltaRef, delta: Delta) -> None:
        """Keep a prepared delta, whose tensors are on the CPU."""
        form = self._form(delta)
        path = self._folder / f"{next(self._numbers)}.delta"
        try:
            with path.open("wb") as file:
                for part, places in zip(delta.parts, form.places, strict=True):
                    for tensor, place in zip(part.memory, places, strict=True):
                        file.seek(place.start)
                        file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
                file.truncate(form.size)
        except OSError as error:
            _log.warning("A delta is not spilled: %s", error)
            _remove(path)
            return
        with self._lock:
            old = self._spilled.get(ref)
            self._spilled[ref] = _Spilled(path, replace(delta, parts=()), form)
        if old is not None:
            _remove(old.path)

    def read(self, ref: DeltaRef) -> Delta | None:
        """The prepared delta, if it was kept."""
        spilled = self._spilled.get(ref)
        if spilled is None:
            return None
        form = spilled.form
        memory = stretch(form.size)
        try:
            with spilled.path.open("rb") as file:
                if file.readinto(memory.numpy().data) != form.size:
                    return None
        except OSError:
            return None
        tensors = (
            [memory[at.start : at.end].view(at.dtype).view(at.shape) for at in places]
            for places in form.places
        )
        pairs = zip(form.parts, tensors, strict=True)
        return replace(spilled.delta, parts=tuple(part.over(each) for part, each in pairs))

    def discard(self, ref: DeltaRef) -> None:
        """Let go of a delta, if it is there."""
        with self._lock:
            spilled = self._spilled.pop(ref, None)
        if spilled is not None:
            _remove(spilled.path)

    def _form(self, delta: Delta) -> _Form:
        key = tuple(
            (part.form, *((tensor.dtype, tensor.shape) for tensor in part.memory))
            for part in delta.parts
        )
        with self._lock:
            known = self._forms.get(key)
            if known is None:
                known = self._forms[key] = _form_of(delta)
        return known


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _form_of(delta: Delta) -> _Form:
    at = 0
    parts: list[Part] = []
    places: list[tuple[_Place, ...]] = []
    for part in delta.parts:
        found: list[_Place] = []
        for tensor in part.memory:
            found.append(_Place(at, at + tensor.nbytes, tensor.dtype, tuple(tensor.shape)))
            at += to_line(tensor.nbytes)
        places.append(tuple(found))
        parts.append(part.over([tensor.new_empty(0) for tensor in part.memory]))
    return _Form(tuple(parts), tuple(places), at)

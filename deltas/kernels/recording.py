"""Recordings: the kernel calls of a step, written down once and replayed as one call.

A step makes hundreds of calls, and what Python does around each of them takes longer than some of
them do. All that changes from step to step are numbers that the calls share.
"""

import struct
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deltas.kernels.backend import Added, Bias, Packed, SmallRankSite
from deltas.kernels.kernels import Kernels, describe_sites

_NONE = torch.empty(0, 4, dtype=torch.int32)


@dataclass(frozen=True, slots=True)
class Step:
    """What differs between the steps of one recording: `rows`, and who they belong to.

    As operations.h lays them out: `runs` [n, 3], `places` [rows], `chunks` [m, 4], `tables`; those
    of what an encoder has read, too, where there is one; all of int32.
    """

    rows: int
    runs: Tensor
    places: Tensor
    chunks: Tensor
    tables: Tensor
    source_chunks: Tensor = _NONE
    source_tables: Tensor = _NONE


class Misfit(Exception):
    """Raised for calls of which one reads other widths than it is given: no kernel would notice."""


class Recorder:
    """Stands in for `Kernels`: it writes calls down, for up to `capacity` rows.

    What its methods return are buffers [capacity, width] that hold nothing yet; one is used again
    as soon as nobody holds it. The model's own tensors and what a recording begins with are the
    caller's to keep. A call whose widths do not fit each other raises Misfit.
    """

    def __init__(self, kernels: Kernels, capacity: int) -> None:
        self.capacity = capacity
        self._kernels = kernels
        self._calls = array("q")
        self._kept: list[object] = []
        self._buffers: dict[int, list[_Buffer]] = {}

    def replay(self, step: Step) -> None:
        """Make all calls for a step of no more than `capacity` rows."""
        numbers = (
            step.rows, step.runs.data_ptr(), len(step.runs), step.places.data_ptr(),
            step.chunks.data_ptr(), len(step.chunks), step.tables.data_ptr(),
            step.source_chunks.data_ptr(), len(step.source_chunks), step.source_tables.data_ptr(),
        )  # fmt: skip
        self._kernels.replay(self._calls, array("q", numbers))

    def linear(self, x: Tensor, matrix: Packed, added: Added | None = None) -> Tensor:
        """See `Kernels`."""
        _fit(matrix.inputs, x)
        y = self._take(matrix.outputs)
        additions = None if added is None else added[0]
        self._kept.append(additions)
        shape = (matrix.bias, matrix.outputs, matrix.inputs, y, y.stride(0))
        parts = (additions, 0 if additions is None else len(additions))
        if matrix.scales is None:
            self._write("linear", x, x.stride(0), matrix.data, *shape, *parts)
        else:
            self._write("linear_bytes", x, x.stride(0), matrix.data, matrix.scales, *shape, *parts)
        return y

    def small_rank(self, sites: Sequence[SmallRankSite], runs: Tensor) -> None:
        """See `Kernels`."""
        del runs
        described = describe_sites(sites)
        self._kept.extend((described, *(parts for *_, parts in sites)))
        self._write("small_rank", described.buffer_info()[0], len(sites))

    def add_norm(
        self,
        x: Tensor,
        y: Tensor | None,
        weight: Tensor,
        epsilon: float,
        bias: Tensor | None = None,
    ) -> Tensor:
        """See `Kernels`."""
        _fit(x.shape[1], y, weight, bias)
        to = self._take(x.shape[1])
        stride = 0 if y is None else y.stride(0)
        self._write("add_norm", x, y, stride, weight, bias, epsilon, x.shape[1], to)
        return to

    def activate(self, x: Tensor, activation: int) -> Tensor:
        """See `Kernels`."""
        self._write("activate", x, x.shape[1], activation)
        return x

    def gate(self, x: Tensor, activation: int) -> Tensor:
        """See `Kernels`."""
        width = x.shape[1] // 2
        _fit(2 * width, x)
        to = self._take(width)
        self._write("gate", x, width, activation, to)
        return to

    def place(
        self,
        fused: Tensor,
        heads: tuple[int, int, int],
        norms: tuple[Tensor | None, Tensor | None],
        epsilon: float,
        angles: tuple[Tensor, Tensor] | None,
        places: Tensor,
        cache: tuple[Tensor, Tensor],
        *,
        neighbours: bool = False,
    ) -> None:
        """See `Kernels`."""
        del places
        _fit(_fused(heads), fused)
        _fit(heads[2], *norms)
        cosine, sine = angles or (None, None)
        if cosine is not None:
            _fit(min(cosine.shape[1], heads[2]), cosine, sine)
        turned = (cosine, sine, 0 if cosine is None else cosine.shape[1], neighbours)
        self._write("place", fused, fused.stride(0), *heads, *norms, epsilon, *turned, *cache)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Kernels`."""
        _fit(x.shape[1], y)
        self._write("add", x, y, x.shape[1])
        return x

    def ungroup(self, fused: Tensor, heads: tuple[int, int, int]) -> Tensor:
        """See `Kernels`."""
        _fit(_fused(heads), fused)
        to = self._take(fused.shape[1])
        self._write("ungroup", fused, *heads, to)
        return to

    def attend(
        self,
        query: Tensor,
        heads: tuple[int, int, int],
        cache: tuple[Tensor, Tensor],
        chunks: Tensor,
        tables: Tensor,
        scale: float,
        causal: bool,
        window: int | None,
        cap: float | None = None,
        sinks: Tensor | None = None,
        bias: Bias | None = None,
        *,
        of_sources: bool = False,
    ) -> Tensor:
        """See `Kernels`."""
        del chunks, tables
        _fit(heads[0] * heads[2] if of_sources else _fused(heads), query)
        to = self._take(heads[0] * heads[2])
        stride, centre = (0, -1) if bias is None else (bias.table.stride(0), bias.centre)
        table = None if bias is None else bias.table
        self._kept.append((sinks, table))
        look = (scale, causal, window or 0, cap or 0.0, sinks, table, stride)
        look = (*look, -1 if centre is None else centre)
        name = "attend_sources" if of_sources else "attend"
        self._write(name, query, query.stride(0), *heads, *cache, *look, to, to.stride(0))
        return to

    def _take(self, width: int) -> Tensor:
        pool = self._buffers.setdefault(width, [])
        free = next((buffer for buffer in pool if buffer.free), None)
        if free is None:
            free = _Buffer(torch.zeros(self.capacity, width, dtype=self._kernels.dtype))
            pool.append(free)
        return free.hand_out()

    def _write(self, name: str, *arguments: Tensor | float | None) -> None:
        """Write a call down: all arguments but those that a step gives."""
        operation = self._kernels.operations[name]
        letters = [letter for letter in operation.arguments if letter.islower()]
        pairs = list(zip(letters, arguments, strict=True))
        self._calls.append(operation.number)
        self._calls.extend(_word(letter, value) for letter, value in pairs)


def _fit(width: int, *tensors: Tensor | None) -> None:
    """Hold tensors, those there are, to a width: their last dimension."""
    for tensor in tensors:
        if tensor is not None and tensor.shape[-1] != width:
            raise Misfit(
                f"A kernel reads {width} numbers a row where there are {tensor.shape[-1]}."
            )


def _fused(heads: tuple[int, int, int]) -> int:
    """How wide a row of queries, keys and values is."""
    queries, keys, width = heads
    return (queries + 2 * keys) * width


def _word(letter: str, value: Tensor | float | None) -> int:
    """An argument as operations.h reads it."""
    if isinstance(value, Tensor):
        return value.data_ptr()
    if letter == "f":
        return struct.unpack("q", struct.pack("d", value))[0]
    return int(value or 0)


class _Buffer:
    """Memory that is free once nobody holds the tensor handed out last."""

    def __init__(self, memory: Tensor) -> None:
        self._memory = memory
        self._holder: weakref.ref[Tensor] | None = None

    @property
    def free(self) -> bool:
        return self._holder is None or self._holder() is None

    def hand_out(self) -> Tensor:
        tensor = self._memory.view_as(self._memory)
        self._holder = weakref.ref(tensor)
        return tensor

"""Replay: a base's layers recorded once and run as one call, step after step."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deltas.kernels import Recorder
from deltas.kernels.recording import Step
from server.model.batch import Batch
from server.model.layers import KernelLayers
from server.model.native_attention import Angles
from server.model.projection import Projection

_FEWEST_ROWS = 64


@dataclass(frozen=True, slots=True)
class _Recording:
    """The layers' calls, what they read first and what they leave; all [capacity, …].

    `layout` is the wiring's and the cache's while it was recorded.
    """

    recorder: Recorder
    layout: object
    x: Tensor
    angles: dict[str, Angles]
    out: Tensor


class ReplayedLayers:
    """Runs a base's layers over a batch: [T] tokens → [T, hidden] last hidden states.

    Recorded anew when deltas of another sort become resident, the cache moves or a step is larger
    than any before. A step with a delta that does more than call kernels is not replayed but
    computed call by call.
    """

    def __init__(self, layers: KernelLayers) -> None:
        self._layers = layers
        self._wiring = layers.means.wiring
        self._attention = layers.means.attention
        self._kernels = layers.means.kernels
        self._last: _Recording | None = None

    @property
    def projections(self) -> Sequence[Projection]:
        """All projections of the layers."""
        return self._layers.projections

    def __call__(self, batch: Batch) -> Tensor:
        """Compute one step."""
        segments = self._wiring.segments
        if not (segments.slots <= self._wiring.recordable and self._attention.recordable):
            return self._layers(batch)
        x, angles = self._layers.embed(batch), self._layers.angles(batch)
        recording = self._current(x, angles)
        recording.x[: len(x)] = x
        for turn, pair in angles.items():
            for buffer, values in zip(recording.angles[turn], pair, strict=True):
                buffer[: len(x)] = values
        recording.recorder.replay(self._step(len(x)))
        # The next step writes over it, and some rows' states are kept for longer.
        return recording.out[: len(x)].clone()

    def _current(self, x: Tensor, angles: dict[str, Angles]) -> _Recording:
        last, layout = self._last, self._layout()
        if last and last.layout == layout and last.recorder.capacity >= len(x):
            return last
        capacity = max(_FEWEST_ROWS, 1 << (len(x) - 1).bit_length())
        capacity = max(capacity, last.recorder.capacity) if last else capacity
        # The buffers of the old recording go before there are new ones.
        self._last = last = None
        self._last = self._record(capacity, x, angles)
        return self._last

    def _record(self, capacity: int, x: Tensor, angles: dict[str, Angles]) -> _Recording:
        def room(like: Tensor) -> Tensor:
            return torch.zeros(capacity, like.shape[1], dtype=like.dtype)

        recorder = Recorder(self._kernels, capacity)
        begin = room(x)
        turns = {turn: (room(cosine), room(sine)) for turn, (cosine, sine) in angles.items()}
        with self._wiring.recording(recorder):
            out = self._layers.run(recorder, begin, turns)
        return _Recording(recorder, self._layout(), begin, turns, out)

    def _step(self, rows: int) -> Step:
        own, cross = self._attention, self._layers.cross
        numbers = (rows, self._wiring.segments.table, own.places, own.chunks, own.tables)
        return Step(*numbers) if cross is None else Step(*numbers, cross.chunks, cross.tables)

    def _layout(self) -> Hashable:
        return self._wiring.layout, self._attention.layout

"""Segments: which rows of a packed batch belong to which delta."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BASE_SLOT = 0
"""The slot of rows that no delta touches."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows [start, end) of the packed axis: consecutive rows of one sequence, all of one slot.

    `offset` is the index within its sequence of row `start`.
    """

    slot: int
    start: int
    end: int
    offset: int = 0


@dataclass(frozen=True)
class Segments:
    """The segments of one packed batch of `rows` rows, in order, covering it without gaps."""

    items: tuple[Segment, ...]
    rows: int

    @classmethod
    def of(cls, items: Iterable[Segment]) -> "Segments":
        """Gather segments that follow one another from row 0."""
        items = tuple(items)
        return cls(items, items[-1].end if items else 0)

    @cached_property
    def runs(self) -> tuple[Segment, ...]:
        """The segments with neighbours of the same slot merged and the bare base left out.

        A run may span several sequences, so its `offset` has no meaning.
        """
        runs: list[Segment] = []
        for item in self.items:
            if item.slot == BASE_SLOT:
                continue
            if runs and runs[-1].slot == item.slot and runs[-1].end == item.start:
                runs[-1] = Segment(item.slot, runs[-1].start, item.end)
            else:
                runs.append(Segment(item.slot, item.start, item.end))
        return tuple(runs)

    @cached_property
    def slots(self) -> frozenset[int]:
        """The slots of the runs."""
        return frozenset(run.slot for run in self.runs)

    @cached_property
    def table(self) -> Tensor:
        """The runs as the kernels read them: [n, 3] int32 of (slot, start, end)."""
        rows = [(run.slot, run.start, run.end) for run in self.runs]
        return torch.tensor(rows, dtype=torch.int32).view(-1, 3)

    @cached_property
    def row_slots(self) -> Tensor:
        """Each row's slot, [rows]."""
        counts = torch.tensor([item.end - item.start for item in self.items])
        return torch.tensor([item.slot for item in self.items]).repeat_interleave(counts)

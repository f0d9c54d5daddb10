"""The packed batch of one step: rows of many sequences on one axis of length T."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deltas.kinds import Extent
from deltas.segments import Segment, Segments


@dataclass(frozen=True, slots=True)
class Item:
    """Consecutive rows of one sequence in one step.

    `offset` is the index of the first row within the sequence; `blocks` are the sequence's cache
    blocks, empty where nothing is cached. `wants_logits` asks for the last row's logits,
    `wants_hidden` for every row's last hidden state.
    """

    slot: int
    tokens: Sequence[int]
    offset: int
    extent: Extent
    blocks: Sequence[int] = ()
    wants_logits: bool = False
    wants_hidden: bool = False

    @property
    def context(self) -> int:
        """Cached tokens that come before this item's rows."""
        return self.extent.cached + self.offset


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows [start, end) of one sequence which attend together.

    `context` counts the cached tokens before them, and `places` [context + rows] says where all
    of their keys are in the cache; None where they attend to one another alone.
    """

    item: Item
    start: int
    end: int
    context: int
    places: Tensor | None


@dataclass(frozen=True, slots=True)
class Decode:
    """The batch's single-row items, which attend together.

    `rows` [D] are their places on the packed axis, `places` [D, longest] where their keys are in
    the cache, padded with the row's own last; `lengths` [D, 1] how many of them count.
    """

    rows: Tensor
    places: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Batch:
    """One step's rows, packed.

    `tokens` and `positions` are [T]; `writes` [T] says where each row's keys go in the cache,
    None for a model without one.
    """

    tokens: Tensor
    positions: Tensor
    segments: Segments
    chunks: tuple[Chunk, ...]
    decode: Decode | None
    writes: Tensor | None
    masks: dict[tuple[int, int | None], Tensor | None] = field(
        default_factory=dict[tuple[int, int | None], Tensor | None]
    )


def pack(items: Sequence[Item], block: int, first_position: int, device: torch.device) -> Batch:
    """Lay items one after another; `block` is the number of tokens in a cache block, 0 for none."""
    segments: list[Segment] = []
    chunks: list[Chunk] = []
    singles: list[tuple[int, list[int]]] = []
    tokens: list[int] = []
    positions: list[int] = []
    writes: list[int] = []
    for item in items:
        start, end = len(tokens), len(tokens) + len(item.tokens)
        segments.append(Segment(item.slot, start, end, item.offset))
        tokens.extend(item.tokens)
        first = first_position + item.extent.shift + item.offset
        positions.extend(range(first, first + len(item.tokens)))
        places = _places(item, block) if block else []
        writes.extend(places[item.context :])
        if block and len(item.tokens) == 1:
            singles.append((start, places))
            continue
        keys = torch.tensor(places, device=device) if block and item.context else None
        chunks.append(Chunk(item, start, end, item.context if block else 0, keys))
    return Batch(
        tokens=torch.tensor(tokens, device=device),
        positions=torch.tensor(positions, device=device),
        segments=Segments.of(segments),
        chunks=tuple(chunks),
        decode=_decode(singles, device) if singles else None,
        writes=torch.tensor(writes, device=device) if block else None,
    )


def _places(item: Item, block: int) -> list[int]:
    length = item.context + len(item.tokens)
    return [item.blocks[index // block] * block + index % block for index in range(length)]


def _decode(singles: Sequence[tuple[int, list[int]]], device: torch.device) -> Decode:
    longest = max(len(places) for _, places in singles)
    # Not even a masked key may be another sequence's: 0 times its NaN would still be NaN.
    padded = [places + places[-1:] * (longest - len(places)) for _, places in singles]
    return Decode(
        rows=torch.tensor([row for row, _ in singles], device=device),
        places=torch.tensor(padded, device=device),
        lengths=torch.tensor([[len(places)] for _, places in singles], device=device),
    )

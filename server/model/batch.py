"""The packed batch of one step: rows of many sequences on one axis of length T."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deltas.kinds import Extent
from deltas.segments import Segment, Segments


@dataclass(frozen=True, slots=True)
class SourceItem:
    """The text that an encoder reads for a sequence, whose rows then look at it.

    Its keys and values, a delta's own first, are `length` in all and in the cache's `blocks`.
    `tokens` are those that the encoder is to read before, virtual ones first; empty once it has.
    """

    blocks: Sequence[int]
    length: int
    tokens: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """Consecutive rows of one sequence in one step.

    `offset` is the index of the first row within the sequence; `blocks` are the sequence's cache
    blocks, empty where nothing is cached; `types` are the tokens' types, empty where all are 0.
    `wants_logits` asks for the last row's logits, `wants_hidden` for every row's last hidden state.
    The rows from `judging` on say how likely `judged` tokens are that follow them, with as many
    `alternatives`. There is a `source` where the base's encoder reads one.
    """

    slot: int
    tokens: Sequence[int]
    offset: int
    extent: Extent
    blocks: Sequence[int] = ()
    types: Sequence[int] = ()
    wants_logits: bool = False
    wants_hidden: bool = False
    judging: int = 0
    judged: Sequence[int] = ()
    alternatives: int = 0
    source: SourceItem | None = None

    @property
    def context(self) -> int:
        """Cached tokens that come before this item's rows."""
        return self.extent.cached + self.offset


@dataclass(frozen=True)
class Batch:
    """One step's rows, packed: `tokens` and `positions` are [T], `segments` one for each item.

    `types` are [T], too; None where all of them are 0.
    """

    items: tuple[Item, ...]
    tokens: Tensor
    positions: Tensor
    segments: Segments
    types: Tensor | None = None


def pack(items: Sequence[Item], first_position: int, device: torch.device) -> Batch:
    """Lay items one after another; `first_position` is where the base begins to count."""
    segments: list[Segment] = []
    tokens: list[int] = []
    positions: list[int] = []
    for item in items:
        start = len(tokens)
        tokens.extend(item.tokens)
        segments.append(Segment(item.slot, start, len(tokens), item.offset))
        first = first_position + item.extent.shift + item.offset
        positions.extend(range(first, first + len(item.tokens)))
    return Batch(
        items=tuple(items),
        tokens=torch.tensor(tokens, device=device),
        positions=torch.tensor(positions, device=device),
        segments=Segments.of(segments),
        types=_types(items, device) if any(item.types for item in items) else None,
    )


def types_of(batch: Batch) -> dict[str, Tensor]:
    """What an encoder's modules are given of tokens' types: nothing where all are 0."""
    return {} if batch.types is None else {"token_type_ids": batch.types[None]}


def _types(items: Sequence[Item], device: torch.device) -> Tensor:
    rows = [item.types or [0] * len(item.tokens) for item in items]
    return torch.tensor([each for types in rows for each in types], device=device)

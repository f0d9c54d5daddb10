"""Stacks: the lists of a base's layers, as training runs them over padded batches."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from deltas.families import Encoder
from deltas.kinds import Extent
from deltas.positions import bound, positions_of
from deltas.segments import Segment, Segments
from deltas.site import Rows
from deltas.training.attention import SLOT, Step
from deltas.training.encoding import Encoded
from deltas.training.subject import Subject

Stacks = Callable[[Sequence[Encoded], Extent], list[Tensor]]
"""Makes of examples, and what a delta adds to each, their tokens' last hidden states."""


def stacks_of(subject: Subject, step: Step) -> Stacks:
    """Those of a base, whose attention modules ask the step."""
    encoder = subject.spec.family.encoder
    return _One(subject, step) if encoder is None else _Two(subject, step, encoder)


class _One:
    """One stack, whose rows are a text's own."""

    def __init__(self, subject: Subject, step: Step) -> None:
        self._family = subject.spec.family
        self._backbone: nn.Module = subject.model.base_model
        self._device = subject.model.device
        self._step = step

    def __call__(self, examples: Sequence[Encoded], extent: Extent) -> list[Tensor]:
        texts = [one.tokens for one in examples]
        tokens = _begun(self._step, Rows.OWN, texts, extent.rows, self._device)
        places = torch.arange(tokens.shape[1], device=self._device)
        lengths = self._step.lengths[Rows.OWN]
        extra: dict[str, Any] = {"use_cache": False} if self._family.causal else {}
        if self._family.attention is None:
            extra["attention_mask"] = places < lengths[:, None]
        positions = places + self._family.first_position + extent.shift
        output = self._backbone(
            input_ids=tokens, position_ids=positions.expand(len(tokens), -1), **extra
        ).last_hidden_state
        return _cut(output, lengths)


class _Two:
    """Two stacks: one reads the sources, whose last states the other one's rows look at."""

    def __init__(self, subject: Subject, step: Step, encoder: Encoder) -> None:
        spec, model = subject.spec, subject.model
        reader, writer = spec.family.stacks
        self._step = step
        self._device = model.device
        self._reader: nn.Module = model.base_model.get_submodule(reader.path)
        self._writer: nn.Module = model.base_model.get_submodule(writer.path)
        nothing = torch.zeros(1, 1, spec.hidden, dtype=model.dtype, device=model.device)
        self._read_at = positions_of(self._reader, encoder, spec.context)
        self._written_at = positions_of(
            self._writer, encoder, spec.context, encoder_hidden_states=nothing
        )

    def __call__(self, examples: Sequence[Encoded], extent: Extent) -> list[Tensor]:
        read = extent.source
        sources = [one.source for one in examples]
        tokens = _begun(self._step, Rows.SOURCE, sources, read.rows, self._device)
        self._step.lengths[Rows.CROSS] = self._step.lengths[Rows.SOURCE]
        with bound(self._read_at, self._places(tokens, read)):
            states = self._reader(input_ids=tokens).last_hidden_state
        texts = [one.tokens for one in examples]
        tokens = _begun(self._step, Rows.OWN, texts, extent.rows, self._device)
        with bound(self._written_at, self._places(tokens, extent)):
            output = self._writer(
                input_ids=tokens, encoder_hidden_states=states, use_cache=False
            ).last_hidden_state
        return _cut(output, self._step.lengths[Rows.OWN])

    def _places(self, tokens: Tensor, extent: Extent) -> Tensor:
        return torch.arange(tokens.shape[1], device=self._device) + extent.shift


def _begun(
    step: Step, rows: Rows, texts: Sequence[Sequence[int]], virtual: int, device: torch.device
) -> Tensor:
    """Tokens [batch, longest] with virtual ones first, whose rows a stack is to compute next."""
    whole = [torch.tensor([0] * virtual + list(text), dtype=torch.long) for text in texts]
    tokens = pad_sequence(whole, batch_first=True).to(device)
    count, longest = tokens.shape
    step.lengths[rows] = torch.tensor([len(row) for row in whole], device=device)
    segments = (Segment(SLOT, i * longest, (i + 1) * longest) for i in range(count))
    step.wiring.bind(Segments.of(segments), one_slot=True)
    return tokens


def _cut(output: Tensor, lengths: Tensor) -> list[Tensor]:
    return [row[:length] for row, length in zip(output, lengths.tolist(), strict=True)]

"""The forward pass of training: the base's own modules, with a delta wired in as for serving."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from deltas.delta import Delta, TaskType
from deltas.kinds import extent_of
from deltas.logits import Logits
from deltas.segments import Segment, Segments
from deltas.training import attention
from deltas.training.attention import SLOT, KeyValues
from deltas.training.encoding import Encoded
from deltas.training.subject import Subject
from deltas.wiring import Wiring


class Forward:
    """Runs padded batches through the base with one delta, or none.

    Of several for one model, only the last one made may be used.
    """

    def __init__(self, subject: Subject) -> None:
        self.spec = subject.spec
        self._model = subject.model
        self._family = subject.spec.family
        self._backbone: nn.Module = subject.model.base_model
        self._wiring = Wiring(subject.model, subject.spec)
        self._logits = Logits.of(subject.model)
        self._step = attention.Step(self._wiring)
        attention.attach(self._step, subject.model, subject.spec)

    @property
    def writes(self) -> bool:
        """Whether the base writes text."""
        return self._family.causal

    def answers(self, delta: Delta, batch: Sequence[Encoded]) -> Tensor:
        """Return the scores [n, classes] for every target of the batch that is not ignored.

        Classes are the delta's labels, or the vocabulary where text is written. Gradients flow
        to the delta's tensors.
        """
        self._wiring.install(SLOT, delta)
        try:
            hidden = self.hidden([example.tokens for example in batch], delta)
            pairs = zip(hidden, batch, strict=True)
            scores = torch.cat([self._scores(delta, rows, example) for rows, example in pairs])
            return self._vocabulary(scores) if _writes(delta) else scores
        finally:
            self._wiring.remove(SLOT)

    def hidden(self, sequences: Sequence[Sequence[int]], delta: Delta) -> list[Tensor]:
        """Return each sequence's last hidden states [rows, hidden], virtual rows first."""
        extent = extent_of(delta, self.spec)
        device = self._model.device
        rows = [torch.tensor([0] * extent.rows + list(tokens)) for tokens in sequences]
        tokens = pad_sequence(rows, batch_first=True).to(device)
        count, longest = tokens.shape
        places = torch.arange(longest, device=device)
        positions = places + self._family.first_position
        lengths = [len(row) for row in rows]
        self._step.lengths = torch.tensor(lengths, device=device)
        segments = (Segment(SLOT, i * longest, (i + 1) * longest) for i in range(count))
        self._wiring.bind(Segments.of(segments), one_slot=True)
        extra: dict[str, Any] = {"use_cache": False} if self._family.causal else {}
        if self._family.attention is None:
            extra["attention_mask"] = places < self._step.lengths[:, None]
        output = self._backbone(
            input_ids=tokens, position_ids=(positions + extent.shift).expand(count, -1), **extra
        ).last_hidden_state
        return [row[:length] for row, length in zip(output, lengths, strict=True)]

    @torch.no_grad()
    def key_values(self, tokens: Sequence[int]) -> dict[str, KeyValues]:
        """Return the bare base's keys and values for a text, by attention site."""
        self._step.record = record = {}
        self.hidden([tokens], Delta(TaskType.GENERATE, ()))
        self._step.record = None
        return record

    def _scores(self, delta: Delta, hidden: Tensor, example: Encoded) -> Tensor:
        scores = hidden if _writes(delta) else self._wiring.scores(SLOT, hidden)
        if scores is None:
            raise ValueError("A delta that classifies or tags needs a head.")
        if delta.task is TaskType.CLASSIFY:
            return scores[None]
        return scores[-len(example.targets) :][example.answered]

    def _vocabulary(self, hidden: Tensor) -> Tensor:
        self._wiring.bind(Segments.of([Segment(SLOT, 0, len(hidden))]))
        return self._logits(self._model.get_submodule("lm_head")(hidden))


def _writes(delta: Delta) -> bool:
    return delta.task is TaskType.GENERATE

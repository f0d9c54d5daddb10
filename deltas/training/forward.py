"""The forward pass of training: the base's own modules, with a delta wired in as for serving."""

from collections.abc import Sequence

import torch
from torch import Tensor

from deltas.delta import Delta, TaskType
from deltas.kinds import extent_of
from deltas.logits import Logits
from deltas.segments import Segment, Segments
from deltas.training import attention
from deltas.training.attention import SLOT, KeyValues
from deltas.training.encoding import Encoded
from deltas.training.stacks import stacks_of
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
        self._wiring = Wiring(subject.model, subject.spec)
        self._logits = Logits.of(subject.model)
        self._step = attention.Step(self._wiring)
        self._stacks = stacks_of(subject, self._step)
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
            hidden = self.hidden(batch, delta)
            pairs = zip(hidden, batch, strict=True)
            scores = torch.cat([self._scores(delta, rows, example) for rows, example in pairs])
            return self._vocabulary(scores) if _writes(delta) else scores
        finally:
            self._wiring.remove(SLOT)

    def hidden(self, examples: Sequence[Encoded], delta: Delta) -> list[Tensor]:
        """Return each example's last hidden states [rows, hidden], virtual rows first."""
        return self._stacks(examples, extent_of(delta, self.spec))

    @torch.no_grad()
    def key_values(self, tokens: Sequence[int]) -> dict[str, KeyValues]:
        """Return the bare base's keys and values for a text, by attention site.

        One with an encoder reads it as a source and as the text written for that.
        """
        self._step.record = record = {}
        text = list(tokens)
        self.hidden([Encoded(text, [], text)], Delta(TaskType.GENERATE, ()))
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

"""The bare base's own attempts at a task, which a delta has to beat."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from deltas.delta import Delta, PromptStyle, TaskType
from deltas.training.encoding import Encoded, Encoder, targets_of
from deltas.training.examples import Labelled, Written
from deltas.training.forward import Forward

_NOTHING = Delta(TaskType.GENERATE, ())


class BareBase:
    """A base without any delta; one that writes is given an instruction.

    The instruction and the input reach it through its chat template, where it has one.
    """

    def __init__(self, forward: Forward, encoder: Encoder, instruction: str) -> None:
        self._forward = forward
        self._encoder = encoder
        self._told = replace(encoder, prompt=PromptStyle.CHAT)
        self._instruction = instruction

    def losses(self, batch: Sequence[Written]) -> list[float]:
        """Negative log-likelihoods, in nats, of all tokens of the texts to be written."""
        encoded = [self._told.encode(self._instructed(example)) for example in batch]
        answers = self._forward.answers(_NOTHING, encoded).float()
        targets = targets_of(encoded).to(answers.device)
        return cross_entropy(answers, targets, reduction="none").tolist()

    def likeliest(self, batch: Sequence[Labelled]) -> list[list[int]]:
        """For each text the index of the label whose first token is the likeliest answer.

        A label may begin with a capital.
        """
        asked = [self._told.asked(f"{self._instruction}\n\n{one.text}") for one in batch]
        small, large = (
            [self._tokens(name)[0] for name in names]
            for names in (self._encoder.labels, map(str.capitalize, self._encoder.labels))
        )
        answers = self._forward.answers(_NOTHING, asked)
        best = answers[:, small].maximum(answers[:, large]).argmax(dim=-1)
        return [[index] for index in best.tolist()]

    def nearest(self, batch: Sequence[Encoded], *, words: bool) -> list[list[int]]:
        """For each text, or each of its words, the index of the label with the nearest name.

        Nearest by the cosine of mean hidden states: what the base offers as an embedding.
        """
        names = [Encoded(self._tokens(label), []) for label in self._encoder.labels]
        labels = torch.stack([rows.mean(dim=0) for rows in self._forward.hidden(names, _NOTHING)])
        texts = self._forward.hidden(batch, _NOTHING)
        return [
            _nearest(rows[one.answered] if words else rows.mean(dim=0, keepdim=True), labels)
            for rows, one in zip(texts, batch, strict=True)
        ]

    def _instructed(self, example: Written) -> Written:
        if not self._instruction:
            return example
        if isinstance(example.source, str):
            return replace(example, source=f"{self._instruction}\n\n{example.source}")
        system = {"role": "system", "content": self._instruction}
        return replace(example, source=[system, *example.source])

    def _tokens(self, text: str) -> list[int]:
        return list(self._encoder.tokenizer(text)["input_ids"])


def _nearest(vectors: Tensor, labels: Tensor) -> list[int]:
    similarity = normalize(vectors, dim=-1) @ normalize(labels, dim=-1).T
    return similarity.argmax(dim=-1).tolist()

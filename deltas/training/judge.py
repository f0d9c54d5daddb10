"""The judge: how well a delta, the bare base and a constant answer do on held-out examples."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch.nn.functional import cross_entropy

from deltas.delta import Delta, TaskType
from deltas.training.bare import BareBase
from deltas.training.encoding import Encoded, Encoder, targets_of
from deltas.training.examples import Example, Labelled, Written
from deltas.training.forward import Forward
from deltas.training.measures import accuracy, entity_f1, perplexity, unigram_losses

MEASURES = {
    TaskType.CLASSIFY: "accuracy",
    TaskType.TAG: "entity F1",
    TaskType.GENERATE: "perplexity",
}
"""What a task is scored by; perplexity is better when lower, the others when higher."""

_BATCH = 16

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Judge:
    """Scores answers to held-out examples by the task's measure."""

    forward: Forward
    encoder: Encoder
    task: TaskType
    held_out: Sequence[Example]

    @torch.inference_mode()
    def delta(self, delta: Delta) -> float:
        """Score a delta."""
        losses: list[float] = []
        guesses: list[list[int]] = []
        for batch in _chunks(self._encoded(self.held_out)):
            answers = self.forward.answers(delta, batch).float()
            targets = targets_of(batch).to(answers.device)
            losses += cross_entropy(answers, targets, reduction="none").tolist()
            best = answers.argmax(dim=-1).split([len(one.answered) for one in batch])
            guesses += [piece.tolist() for piece in best]
        return perplexity(losses) if self.task is TaskType.GENERATE else self._grade(guesses)

    def majority(self, train: Sequence[Example]) -> float:
        """Score the constant answer that fits the training examples best.

        It is the most frequent label or tag; for text, the frequencies of the tokens.
        """
        seen = [target for one in self._truths(train) for target in one]
        if self.task is TaskType.GENERATE:
            expected = [target for one in self._truths(self.held_out) for target in one]
            return perplexity(unigram_losses(expected, seen, len(self.encoder.tokenizer)))
        common = Counter(seen).most_common(1)[0][0]
        return self._grade([[common] * len(one) for one in self._truths(self.held_out)])

    @torch.inference_mode()
    def bare(self, instruction: str) -> float:
        """Score the bare base: told what to do if it writes, else asked by similarity."""
        base = BareBase(self.forward, self.encoder, instruction)
        written = [example for example in self.held_out if isinstance(example, Written)]
        if written:
            return perplexity(loss for batch in _chunks(written) for loss in base.losses(batch))
        labelled = [example for example in self.held_out if isinstance(example, Labelled)]
        if labelled and self.forward.writes:
            return self._grade(
                [one for batch in _chunks(labelled) for one in base.likeliest(batch)]
            )
        words = self.task is TaskType.TAG
        encoded = self._encoded(self.held_out)
        return self._grade(
            [one for batch in _chunks(encoded) for one in base.nearest(batch, words=words)]
        )

    def _grade(self, guesses: Sequence[Sequence[int]]) -> float:
        truths = self._truths(self.held_out)
        if self.task is TaskType.TAG:
            return entity_f1(map(self._names, guesses), map(self._names, truths))
        return accuracy(guesses, truths)

    def _names(self, indices: Iterable[int]) -> list[str]:
        return [self.encoder.labels[index] for index in indices]

    def _truths(self, examples: Iterable[Example]) -> list[list[int]]:
        return [targets_of([one]).tolist() for one in self._encoded(examples)]

    def _encoded(self, examples: Iterable[Example]) -> list[Encoded]:
        return [self.encoder.encode(example) for example in examples]


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]

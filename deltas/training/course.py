"""A course: from examples to a trained and judged delta."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltas.delta import Delta, TaskType
from deltas.training.encoding import Encoder
from deltas.training.examples import Example, InvalidExamples, labels_of, task_of
from deltas.training.forward import Forward
from deltas.training.judge import MEASURES, Judge
from deltas.training.recipe import Recipe
from deltas.training.subject import Subject
from deltas.training.train import OnStep, train


@dataclass(frozen=True, slots=True)
class Verdict:
    """Held-out scores of a delta, of the constant answer and of the bare base."""

    measure: str
    examples: int
    delta: float
    majority: float
    bare: float

    @property
    def lower_is_better(self) -> bool:
        """Whether the measure counts faults, as perplexity does."""
        return self.measure == MEASURES[TaskType.GENERATE]

    @property
    def beats_both(self) -> bool:
        """Whether the delta does better than the constant answer and than the bare base."""
        if self.lower_is_better:
            return self.delta < min(self.majority, self.bare)
        return self.delta > max(self.majority, self.bare)


class Course:
    """Trains a delta for one base from one set of examples, and judges it by another."""

    def __init__(
        self, subject: Subject, recipe: Recipe, examples: Sequence[Example],
        held_out: Sequence[Example],
    ) -> None:  # fmt: skip
        self._recipe = recipe
        self._examples = examples
        self._held_out = held_out
        self._task = task_of(examples)
        if held_out and task_of(held_out) is not self._task:
            raise InvalidExamples("The held-out examples are for another type of task.")
        if self._task is TaskType.GENERATE and not subject.spec.family.causal:
            raise InvalidExamples(f"The base '{subject.spec.name}' is an encoder: it cannot write.")
        self._labels = labels_of([*examples, *held_out])
        self._forward = Forward(subject)
        self._encoder = Encoder(subject.tokenizer, self._labels, recipe.prompt, recipe.tokens)

    def train(self, on_step: OnStep) -> Delta:
        """Train the delta."""
        blank = Delta(self._task, (), self._labels, self._recipe.prompt)
        encoded = [self._encoder.encode(example) for example in self._examples]
        return train(self._forward, self._recipe, blank, encoded, on_step)

    def judge(self, delta: Delta, instruction: str) -> Verdict:
        """Score a delta on the held-out examples; the instruction is what the bare base is told."""
        judge = Judge(self._forward, self._encoder, self._task, self._held_out)
        return Verdict(
            measure=MEASURES[self._task],
            examples=len(self._held_out),
            delta=judge.delta(delta),
            majority=judge.majority(self._examples),
            bare=judge.bare(instruction),
        )

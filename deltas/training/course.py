"""A course: from examples to a trained and judged delta."""

from dataclasses import dataclass
from itertools import chain

from deltas.delta import Delta, TaskType
from deltas.training.encoding import Encoder
from deltas.training.examples import InvalidExamples
from deltas.training.forward import Forward
from deltas.training.judge import MEASURES, Judge
from deltas.training.material import Material
from deltas.training.recipe import Recipe
from deltas.training.subject import Subject
from deltas.training.train import OnStep, train


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores of a delta, of the constant answer and of the bare base on one held-out set."""

    held_out: str
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
    """Trains a delta for one base from examples, and judges it by others."""

    def __init__(self, subject: Subject, recipe: Recipe, material: Material) -> None:
        self._recipe = recipe
        self._material = material
        if material.task is TaskType.GENERATE and not subject.spec.family.causal:
            raise InvalidExamples(f"The base '{subject.spec.name}' is an encoder: it cannot write.")
        if material.task is TaskType.TAG and subject.spec.family.encoder is not None:
            raise InvalidExamples(
                f"The base '{subject.spec.name}' writes a text for another one, or labels that: it "
                "does not tag its words. Let it write the tags: give them as the output."
            )
        self._forward = Forward(subject)
        self._encoder = Encoder(
            subject.tokenizer, material.labels, recipe.prompt, recipe.tokens, subject.start_tokens
        )

    def train(self, on_step: OnStep) -> Delta:
        """Train the delta."""
        blank = Delta(self._material.task, (), self._material.labels, self._recipe.prompt)
        encoded = [self._encoder.encode(example) for example in self._material.examples]
        held_out = chain.from_iterable(self._material.held_out.values())
        judged = [self._encoder.encode(example) for example in held_out]
        return train(self._forward, self._recipe, blank, encoded, on_step, judged)

    def judge(self, delta: Delta, instruction: str) -> list[Verdict]:
        """Score a delta on each held-out set; the instruction is what the bare base is told."""
        return [self._verdict(name, delta, instruction) for name in self._material.held_out]

    def _verdict(self, name: str, delta: Delta, instruction: str) -> Verdict:
        task, held_out = self._material.task, self._material.held_out[name]
        judge = Judge(self._forward, self._encoder, task, held_out)
        return Verdict(
            held_out=name,
            measure=MEASURES[task],
            examples=len(held_out),
            delta=judge.delta(delta),
            majority=judge.majority(self._material.examples),
            bare=judge.bare(instruction),
        )

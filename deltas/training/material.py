"""Material: the examples that a delta is trained on, and those that it is judged by."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from deltas.delta import TaskType
from deltas.training.examples import Example, InvalidExamples, Labelled, labels_of, task_of
from deltas.training.reading import read_examples

LEAST = 4
"""Fewer examples than this teach nothing."""
FEW = 50
"""With fewer examples than this, or fewer than FEW_A_LABEL of a label, little is to be expected."""
FEW_A_LABEL = 8
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Material:
    """Examples to train on, and sets of held-out ones, each by the name that its score has.

    Raises InvalidExamples where a set is for another type of task, or where there is but one label.
    """

    examples: Sequence[Example]
    held_out: Mapping[str, Sequence[Example]] = field(default_factory=dict[str, Sequence[Example]])

    def __post_init__(self) -> None:
        if len({type(example) for example in self.examples}) != 1:
            raise InvalidExamples("The examples to train on must be all of one form.")
        for name, examples in self.held_out.items():
            if task_of(examples) is not self.task:
                raise InvalidExamples(
                    f"The held-out examples of {name} are for a task of type "
                    f"'{task_of(examples).value}', those to train on for '{self.task.value}'."
                )
        if self.task is TaskType.CLASSIFY and len(labels_of(self.examples)) == 1:
            raise InvalidExamples(
                f"All examples have the label '{labels_of(self.examples)[0]}': a classifier needs "
                "examples of two labels at least."
            )

    @classmethod
    def read(
        cls, files: Iterable[Path], tests: Iterable[Path],
        limit: int | None = None, test_limit: int | None = None,
    ) -> "Material":  # fmt: skip
        """Read files of examples, of each held-out file at most `test_limit`.

        Raises InvalidExamples with the first fault, and for fewer than LEAST examples.
        """
        examples = [one for file in files for one in read_examples(file)][:limit]
        if len(examples) < LEAST:
            raise InvalidExamples(
                f"Training needs {LEAST} examples at least, and {FEW} to be of use; there "
                f"{'is' if len(examples) == 1 else 'are'} {len(examples)}."
            )
        judged = list(tests)
        names = [file.stem for file in judged]
        if len({*names}) < len(names):
            names = [str(file) for file in judged]
        held_out = [read_examples(file)[:test_limit] for file in judged]
        return cls(examples, dict(zip(names, held_out, strict=True)))

    @property
    def task(self) -> TaskType:
        """The type of task that the examples are for."""
        return task_of(self.examples)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label or tag, held-out ones included."""
        return labels_of([*self.examples, *chain.from_iterable(self.held_out.values())])

    def doubts(self) -> list[str]:
        """What makes a good outcome unlikely, in sentences."""
        found: list[str] = []
        if len(self.examples) < FEW:
            found.append(f"{len(self.examples)} examples are few: {FEW} or more are usual.")
        counts = Counter(one.label for one in self.examples if isinstance(one, Labelled))
        rare = sorted(label for label, count in counts.items() if count < FEW_A_LABEL)
        if rare:
            more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
            found.append(
                f"Of these labels there are fewer than {FEW_A_LABEL} examples: "
                f"{', '.join(rare[:_SHOWN])}{more}."
            )
        return found

"""Examples: what a delta is trained and judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from deltas.delta import TaskType
from deltas.errors import PolydeltaError


class InvalidExamples(PolydeltaError):
    """These examples cannot be trained on or judged by."""

    code = "invalid_examples"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and its label."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Written:
    """A text, or the messages of a chat, and what should be written next."""

    source: str | list[dict[str, str]]
    output: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The words of a text and one BIO tag for each."""

    words: Sequence[str]
    tags: Sequence[str]


Example: TypeAlias = Labelled | Written | Marked


def task_of(examples: Sequence[Example]) -> TaskType:
    """Return the type of task that examples of this form are for."""
    forms = {Labelled: TaskType.CLASSIFY, Written: TaskType.GENERATE, Marked: TaskType.TAG}
    return forms[type(examples[0])]


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return every label or tag that occurs, sorted; none where text is to be written."""
    labels: set[str] = set()
    for example in examples:
        match example:
            case Labelled(label=label):
                labels.add(label)
            case Marked(tags=tags):
                labels.update(tags)
            case Written():
                pass
    return tuple(sorted(labels))

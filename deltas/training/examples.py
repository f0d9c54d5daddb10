"""Examples: what a delta is trained and judged on, one JSON object a line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from deltas.delta import TaskType
from deltas.errors import PolydeltaError


class InvalidExamples(PolydeltaError):
    """A file does not hold the examples that it should."""

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


def read_examples(path: Path) -> list[Example]:
    """Read a file of `{"input", "label"}`, `{"input", "output"}` or `{"tokens", "tags"}` objects.

    Raises InvalidExamples naming the first line at fault.
    """
    examples: list[Example] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                examples.append(_example(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidExamples(f"{path}, line {number}: {error}") from error
    if len({type(example) for example in examples}) != 1:
        raise InvalidExamples(f"{path} must hold examples, all of one form")
    return examples


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


def _example(record: dict[str, Any]) -> Example:
    match record:
        case {"input": str(text), "label": str(label)}:
            return Labelled(text, label)
        case {"input": str() | list() as source, "output": str(output)}:
            return Written(source, output)
        case {"tokens": [str(), *_] as words, "tags": [str(), *_] as tags} if len(words) == len(
            tags
        ):
            return Marked(words, tags)
        case _:
            raise ValueError("expected input and label, input and output, or tokens and tags")

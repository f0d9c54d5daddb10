"""Reading: examples from files of JSON lines, or from tables with a header."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeAlias, TypeGuard

from deltas.training.examples import Example, InvalidExamples, Labelled, Marked, Written

Record: TypeAlias = Mapping[str, Any]

_TABLES = (".csv", ".tsv")
_SEPARATORS = ",;\t"
_FORMS = (
    "input (or text) and label, input and output, prompt and completion, messages that end with "
    "the assistant's, or tokens and tags, one for each"
)
_FILES = (
    "a file of examples has one JSON object a line, or is a table whose first line names its "
    "columns and whose name ends in .csv or .tsv."
)


def read_examples(path: Path) -> list[Example]:
    """Read a file of examples: a table if its name ends in .csv or .tsv, else JSON lines.

    The fields are `input` or `text` with `label`; `input` with `output`; `prompt` with
    `completion`; `messages`; `tokens` with `tags`. Raises InvalidExamples naming the first line at
    fault.
    """
    records = _rows if path.suffix.lower() in _TABLES else _objects
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            examples = [_example(number, record) for number, record in records(file)]
    except UnicodeDecodeError:
        raise InvalidExamples(f"{path} is no text in UTF-8: save it as such.") from None
    except (ValueError, csv.Error) as error:
        raise InvalidExamples(f"{path}, {error}") from error
    forms = {type(example) for example in examples}
    if len(forms) != 1:
        found = "several forms" if forms else "none"
        raise InvalidExamples(f"{path} must hold examples, all of one form; it holds {found}.")
    return examples


def _objects(lines: TextIO) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON object ({error}); {_FILES}") from error
        match found:
            case dict():
                yield number, found
            case _:
                raise ValueError(f"line {number} is no JSON object; {_FILES}")


def _rows(file: TextIO) -> Iterator[tuple[int, Record]]:
    header = file.readline()
    file.seek(0)
    reader = csv.DictReader(file, delimiter=max(_SEPARATORS, key=header.count))
    for row in reader:
        yield reader.line_num, row


def _example(number: int, record: Record) -> Example:
    match record:
        case {"input": str(text), "label": str() | int() | float() as label} | {
            "text": str(text),
            "label": str() | int() | float() as label,
        } if label != "":
            return Labelled(text, _name(label))
        case (
            {"input": source, "output": str(output)}
            | {"prompt": source, "completion": str(output)}
            | {"prompt": source, "completion": [{"role": "assistant", "content": str(output)}]}
        ) if isinstance(source, str) or _is_chat(source):
            return Written(source, output)
        case {"messages": [*source, {"role": "assistant", "content": str(output)}]} if _is_chat(
            source
        ):
            return Written(source, output)
        case {"tokens": [_, *_] as words, "tags": tags} if _are_marked(words, tags):
            return Marked(words, [_name(tag) for tag in tags])
        case _:
            found = ", ".join(str(name) for name in record) or "nothing"
            raise ValueError(f"line {number} has {found}; an example has {_FORMS}.")


def _name(label: str | float) -> str:
    """A label's name: numbers and truth values are named as JSON writes them."""
    return label if isinstance(label, str) else json.dumps(label)


def _are_marked(words: Sequence[object], tags: object) -> bool:
    return (
        isinstance(tags, list)
        and len(words) == len(tags)
        and all(isinstance(word, str) for word in words)
        and all(isinstance(tag, str | int) for tag in tags)
    )


def _is_chat(source: object) -> TypeGuard[list[dict[str, str]]]:
    """Whether it is a chat's messages, each with the text that it says."""
    if not (isinstance(source, list) and source):
        return False
    for message in source:
        match message:
            case {"role": str(), "content": str()}:
                continue
            case _:
                return False
    return True

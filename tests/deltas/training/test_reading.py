import csv
import json
from pathlib import Path

import pytest

from deltas.delta import TaskType
from deltas.training.examples import (
    Example,
    InvalidExamples,
    Labelled,
    Marked,
    Written,
    task_of,
)
from deltas.training.reading import read_examples

_ASKED = [{"role": "user", "content": "a"}]
_SAID = {"role": "assistant", "content": "b"}


def _file(folder: Path, *lines: str, name: str = "examples.jsonl", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("\n".join(lines), encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("record", "example", "task"),
    [
        ({"input": "a", "label": "x"}, Labelled("a", "x"), TaskType.CLASSIFY),
        ({"text": "a", "label": "x"}, Labelled("a", "x"), TaskType.CLASSIFY),
        ({"text": "a", "label": 1, "id": 7}, Labelled("a", "1"), TaskType.CLASSIFY),
        ({"text": "a", "label": 0.5}, Labelled("a", "0.5"), TaskType.CLASSIFY),
        ({"text": "a", "label": False}, Labelled("a", "false"), TaskType.CLASSIFY),
        ({"input": "a", "output": "b"}, Written("a", "b"), TaskType.GENERATE),
        ({"input": _ASKED, "output": "b"}, Written(_ASKED, "b"), TaskType.GENERATE),
        ({"prompt": "a", "completion": "b"}, Written("a", "b"), TaskType.GENERATE),
        ({"prompt": _ASKED, "completion": [_SAID]}, Written(_ASKED, "b"), TaskType.GENERATE),
        ({"messages": [*_ASKED, _SAID]}, Written(_ASKED, "b"), TaskType.GENERATE),
        ({"tokens": ["a"], "tags": ["O"]}, Marked(["a"], ["O"]), TaskType.TAG),
        ({"tokens": ["a"], "tags": [0]}, Marked(["a"], ["0"]), TaskType.TAG),
    ],
)
def test_each_form_is_read(
    tmp_path: Path, record: dict[str, object], example: Example, task: TaskType
) -> None:
    examples = read_examples(_file(tmp_path, json.dumps(record), ""))
    assert examples == [example]
    assert task_of(examples) is task


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_read(tmp_path: Path, separator: str, encoding: str) -> None:
    path = tmp_path / ("examples.tsv" if separator == "\t" else "examples.CSV")
    with path.open("w", encoding=encoding, newline="") as file:
        rows = csv.writer(file, delimiter=separator)
        rows.writerows([["id", "text", "label"], [1, 'one,\ntwo; "three"\tfour', 0], [2, "ü", 1]])
    assert read_examples(path) == [
        Labelled('one,\ntwo; "three"\tfour', "0"),
        Labelled("ü", "1"),
    ]


def test_a_table_may_hold_what_is_to_be_written(tmp_path: Path) -> None:
    path = _file(tmp_path, "prompt,completion", "a,b", name="pairs.csv")
    assert read_examples(path) == [Written("a", "b")]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"input": "a"}',
        '{"text": "a", "label": null}',
        '{"text": "a", "label": ""}',
        '{"tokens": ["a", "b"], "tags": ["O"]}',
        '{"tokens": ["a", 1], "tags": ["O", "O"]}',
        '{"tokens": [], "tags": []}',
        '{"input": ["a"], "output": "b"}',
        '{"messages": [{"role": "assistant", "content": "a"}]}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidExamples, match="line 2"):
        read_examples(_file(tmp_path, '{"input": "a", "label": "x"}', line))


def test_what_a_line_has_and_should_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidExamples, match=r"line 1 has sentence, class; an example has input"):
        read_examples(_file(tmp_path, '{"sentence": "a", "class": "x"}'))


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExamples, match=r"line 2 has sentence, class; an example has input"):
        read_examples(_file(tmp_path, "sentence,class", "a,b", name="data.csv"))


def test_a_short_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidExamples, match="line 3"):
        read_examples(_file(tmp_path, "text,label", "a,b", "c", name="data.csv"))


@pytest.mark.parametrize("line", ["text,label", '[{"text": "a", "label": "x"}]'])
def test_another_sort_of_file_is_told_what_is_read(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidExamples, match=r"one JSON object a line, or is a table .* \.csv"):
        read_examples(_file(tmp_path, line))


@pytest.mark.parametrize("name", ["data.jsonl", "data.csv"])
def test_another_encoding_is_told(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, "text,label", "für,x", name=name, encoding="utf-16")
    with pytest.raises(InvalidExamples, match="no text in UTF-8"):
        read_examples(path)


@pytest.mark.parametrize(
    "lines", [(), ('{"input": "a", "label": "x"}', '{"input": "a", "output": "x"}')]
)
def test_no_examples_and_mixed_forms_are_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(InvalidExamples, match="all of one form"):
        read_examples(_file(tmp_path, *lines))

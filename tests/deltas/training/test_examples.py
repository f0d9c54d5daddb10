from pathlib import Path

import pytest

from deltas.delta import TaskType
from deltas.training.examples import (
    InvalidExamples,
    Labelled,
    Marked,
    Written,
    labels_of,
    read_examples,
    task_of,
)


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "examples.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "example", "task"),
    [
        ('{"input": "a", "label": "x"}', Labelled("a", "x"), TaskType.CLASSIFY),
        ('{"input": "a", "output": "b"}', Written("a", "b"), TaskType.GENERATE),
        (
            '{"input": [{"role": "user", "content": "a"}], "output": "b"}',
            Written([{"role": "user", "content": "a"}], "b"),
            TaskType.GENERATE,
        ),
        ('{"tokens": ["a"], "tags": ["O"]}', Marked(["a"], ["O"]), TaskType.TAG),
    ],
)
def test_each_form_is_read(tmp_path: Path, line: str, example: object, task: TaskType) -> None:
    examples = read_examples(_file(tmp_path, line))
    assert examples == [example]
    assert task_of(examples) is task


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"input": "a"}',
        '{"tokens": ["a", "b"], "tags": ["O"]}',
        '{"tokens": [], "tags": []}',
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidExamples, match="line 2"):
        read_examples(_file(tmp_path, '{"input": "a", "label": "x"}', line))


@pytest.mark.parametrize(
    "lines", [(), ('{"input": "a", "label": "x"}', '{"input": "a", "output": "x"}')]
)
def test_no_examples_and_mixed_forms_are_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(InvalidExamples, match="all of one form"):
        read_examples(_file(tmp_path, *lines))


def test_labels_are_sorted_and_occur_once() -> None:
    assert labels_of([Labelled("", "b"), Labelled("", "a"), Labelled("", "b")]) == ("a", "b")
    assert labels_of([Marked(["x", "y"], ["O", "B-p"])]) == ("B-p", "O")
    assert labels_of([Written("x", "y")]) == ()

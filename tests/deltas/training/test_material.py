import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from deltas.training.examples import Example, InvalidExamples, Labelled
from deltas.training.material import FEW, Material
from tests.deltas.training.lessons import LABELLED, WRITTEN


def _file(path: Path, count: int, labels: int = 2) -> Path:
    records = [{"text": f"text {i}", "label": i % labels} for i in range(count)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_held_out_sets_are_named_by_their_files(tmp_path: Path) -> None:
    data = _file(tmp_path / "train.jsonl", 5)
    tests = [_file(tmp_path / "own.jsonl", 3), _file(tmp_path / "other.jsonl", 9)]
    material = Material.read([data, data], tests, limit=7, test_limit=4)
    assert len(material.examples) == 7
    assert {name: len(each) for name, each in material.held_out.items()} == {"own": 3, "other": 4}
    assert material.labels == ("0", "1")


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    data = _file(tmp_path / "train.jsonl", 5)
    tests = [_file(tmp_path / "a" / "test.jsonl", 2), _file(tmp_path / "b" / "test.jsonl", 3)]
    assert list(Material.read([data], tests).held_out) == [str(test) for test in tests]


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_examples_are_refused_with_the_least(tmp_path: Path, count: int) -> None:
    with pytest.raises(InvalidExamples, match=f"needs 4 examples at least.*there (is|are) {count}"):
        Material.read([_file(tmp_path / "train.jsonl", count)], [])


def test_one_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidExamples, match="All examples have the label '0'"):
        Material.read([_file(tmp_path / "train.jsonl", 5, labels=1)], [])


@pytest.mark.parametrize(
    ("examples", "held_out"), [(LABELLED, WRITTEN), ([*LABELLED, *WRITTEN], LABELLED)]
)
def test_other_types_of_task_are_refused(
    examples: Sequence[Example], held_out: Sequence[Example]
) -> None:
    with pytest.raises(InvalidExamples, match=r"type 'generate'|all of one form"):
        Material(examples, {"test": held_out})


def test_few_examples_raise_doubts() -> None:
    enough = [Labelled("text", label) for label in ("x", "y") for _ in range(FEW)]
    assert Material(enough).doubts() == []
    few, rare = Material([*enough[:20], Labelled("text", "y")]).doubts()
    assert few.startswith("21 examples are few")
    assert rare.endswith("fewer than 8 examples: y.")

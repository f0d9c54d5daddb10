"""What pages say of the code: the tests, papers, forms and options that they name are there."""

import re
from pathlib import Path

import pytest

from deltas.kinds import KINDS
from deltas.site import Role
from deltas.training.examples import task_of
from deltas.training.judge import MEASURES
from deltas.training.reading import read_examples
from docs.site.build import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
TESTS = [
    (page.name, file, name)
    for page in PAGES
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text())
]
TRAIN = (ROOT / "docs" / "train.md").read_text()


def rows(head: str) -> list[list[str]]:
    """The cells of the table of the page on training that begins with a head."""
    table = TRAIN.partition(f"| {head} |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


@pytest.mark.parametrize(("page", "file", "name"), TESTS)
def test_a_test_that_a_page_names_is_there(page: str, file: str, name: str) -> None:
    definition = rf"^(async )?def {name}\(" if name else ""
    assert re.search(definition, (ROOT / file).read_text(), re.MULTILINE)


def test_every_promise_names_a_test() -> None:
    page = (ROOT / "docs/security.md").read_text()
    promises = re.findall(r"^\| (?!promise|---).+$", page, re.MULTILINE)
    assert len(promises) > 20
    assert all(re.search(r"\| `tests/[\w/]+\.py::", each) for each in promises)


@pytest.mark.parametrize("kind", [name for name in KINDS if KINDS[name].role is not Role.HEAD])
def test_the_theory_names_the_paper_that_a_kind_s_file_names(kind: str) -> None:
    (paper, *_) = re.findall(r"arXiv:([\d.]+)", (ROOT / f"deltas/kinds/{kind}.py").read_text())
    assert f"https://arxiv.org/abs/{paper})" in (ROOT / "docs/theory.md").read_text()


@pytest.mark.parametrize(("example", "task"), rows("an example"))
def test_an_example_is_one_of_the_task_beside_it(example: str, task: str, tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(example.strip("`"))
    assert task_of(read_examples(file)).value == task


def test_the_options_are_those_of_the_kinds() -> None:
    told = {kind: re.findall(r"`(\w+)`", options) for kind, options in rows("`--kind`")}
    trained = {name: kind for name, kind in KINDS.items() if kind.role is not Role.HEAD}
    assert told == {f"`{name}`": [*kind.options, *kind.training] for name, kind in trained.items()}


def test_the_measures_are_the_judge_s() -> None:
    measures = {task.value: measure for task, measure in MEASURES.items()}
    assert {task: measure for task, measure, _ in rows("task | measure | better")} == measures

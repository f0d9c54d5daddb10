"""The committed deltas: small, of every kind promised, and better than what they replace."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.cli.demo import BASES
from server.demo.data import DATASETS
from server.demo.recipes import TASKS, DemoTask
from server.demo.train import DELTAS

_MOST_BYTES = 700_000


def _folder(task: DemoTask) -> Path:
    return DELTAS / task.base / task.name


def _config(task: DemoTask) -> dict[str, Any]:
    return json.loads((_folder(task) / "delta.json").read_text(encoding="utf-8"))


def _id(task: DemoTask) -> str:
    return f"{task.base}-{task.name}"


def test_recipes_and_deltas_correspond() -> None:
    committed = {folder.parent for folder in DELTAS.glob("*/*/delta.json")}
    assert committed == {_folder(task) for task in TASKS}
    assert len(TASKS) == len(committed)


def test_every_recipe_has_its_base_and_its_data() -> None:
    assert {task.base for task in TASKS} == set(BASES)
    assert {task.dataset for task in TASKS} <= set(DATASETS)


@pytest.mark.parametrize(("base", "least"), [("smollm2", 4), ("minilm", 2)])
def test_each_base_shows_several_tasks(base: str, least: int) -> None:
    assert sum(task.base == base for task in TASKS) >= least


def test_the_decoder_shows_each_trained_kind_and_writes() -> None:
    configs = [_config(task) for task in TASKS if task.base == "smollm2"]
    assert {kind for config in configs for kind in config["kinds"]} >= {
        "lora", "bottleneck", "prefix", "head",
    }  # fmt: skip
    assert {config["task"] for config in configs} >= {"classify", "generate"}


@pytest.mark.parametrize("task", TASKS, ids=_id)
def test_a_delta_clearly_beats_a_constant_and_the_bare_base(task: DemoTask) -> None:
    for held_out in _config(task)["card"]["held_out"]:
        assert held_out["examples"] == task.held_out
        if held_out["measure"] == "perplexity":
            assert 1.2 * held_out["delta"] < min(held_out["majority"], held_out["bare"])
        else:
            assert held_out["delta"] > 0.1 + max(held_out["majority"], held_out["bare"])


def test_spam_is_judged_on_another_source_too() -> None:
    config = json.loads((DELTAS / "minilm" / "spam" / "delta.json").read_text(encoding="utf-8"))
    held_out = config["card"]["held_out"]
    assert [each["held_out"] for each in held_out] == ["spam.test", "spam.sms"]
    assert all(each["delta"] > 0.85 for each in held_out)


@pytest.mark.parametrize("task", TASKS, ids=_id)
def test_a_card_tells_how_to_train_the_delta_again(task: DemoTask) -> None:
    card = _config(task)["card"]
    assert card["command"] == f"python -m server.demo.train {task.base} {task.name}"
    assert card["recipe"]["kind"] == task.recipe.kind
    assert card["recipe"]["options"] == task.recipe.options
    assert card["command"] in (_folder(task) / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", TASKS, ids=_id)
def test_a_delta_is_small(task: DemoTask) -> None:
    assert sum(file.stat().st_size for file in _folder(task).iterdir()) < _MOST_BYTES

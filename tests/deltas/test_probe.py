"""What changes nothing is told from what does, for every kind."""

from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, get_peft_model

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.formats import load
from deltas.kinds import KINDS
from deltas.probe import warnings_of
from deltas.site import Role
from tests import samples
from tests.deltas.formats.peft_checkpoints import quietly
from tests.models import tiny_model

ROWS = [name for name, kind in KINDS.items() if kind.role in (Role.LINEAR, Role.BLOCK)]


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"]),
        IA3Config(
            task_type="CAUSAL_LM",
            target_modules=["k_proj", "down_proj"],
            feedforward_modules=["down_proj"],
        ),
    ],
)
def test_what_peft_saves_untrained_changes_nothing(
    config: PeftConfig, base: BaseSpec, tmp_path: Path
) -> None:
    with quietly():
        get_peft_model(tiny_model("llama"), config).save_pretrained(str(tmp_path))
    delta = load(tmp_path, base)
    (warning,) = warnings_of(delta, base)
    assert warning.startswith(f"The kind '{delta.kinds[0]}' changes nothing")


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "head"])
def test_what_is_trained_changes_something(kind: str, base: BaseSpec) -> None:
    assert warnings_of(samples.generator(kind, base), base) == ()
    assert warnings_of(samples.classifier(base, ("no", "yes"), kind), base) == ()


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("strength", [1e-4, 0.0])
def test_one_part_that_does_something_is_enough(kind: str, strength: float, base: BaseSpec) -> None:
    def weakened(part: Part, by: float) -> Part:
        neutral = 1.0 if kind == "ia3" else 0.0
        return part.over([neutral + (tensor - neutral) * by for tensor in part.memory])

    *others, last = samples.generator(kind, base).parts
    parts = (*(weakened(part, 0.0) for part in others), weakened(last, strength**0.5))
    delta = Delta(TaskType.GENERATE, parts)
    assert bool(warnings_of(delta, base)) == (strength == 0.0)


def test_the_kind_that_does_nothing_is_named(base: BaseSpec) -> None:
    prompt = samples.generator("prompt", base).parts
    idle = [
        Part(
            "lora", site.name, {"a": torch.ones(2, site.inputs), "b": torch.zeros(site.outputs, 2)}
        )
        for site in base.of_role(Role.LINEAR)[:3]
    ]
    (warning,) = warnings_of(Delta(TaskType.GENERATE, (*prompt, *idle)), base)
    assert "'lora'" in warning
    assert "3 parts" in warning

"""Every PEFT method, family and task: what PEFT computes is what the wired base computes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
)
from safetensors.torch import load_file, save_file

from deltas.base import describe
from deltas.delta import TaskType
from deltas.formats import load
from tests.deltas.formats.peft_checkpoints import (
    feed_forward_of,
    measures_of,
    reference,
    save,
    targets_of,
    tasks_of,
)
from tests.deltas.running import run
from tests.models import DECODERS, ENCODERS, tiny_model

IDS = torch.tensor([5, 17, 80, 3, 44, 101, 9])
LENGTH = 3
CASES = [(family, task) for family in (*DECODERS, *ENCODERS) for task in tasks_of(family)]


def lora(family: str, task: str, **changes: Any) -> PeftConfig:
    options: dict[str, Any] = {"r": 4, "lora_alpha": 6, "target_modules": targets_of(family)}
    return LoraConfig(task_type=task, **(options | changes))


def ia3(family: str, task: str) -> PeftConfig:
    return IA3Config(
        task_type=task,
        target_modules=targets_of(family),
        feedforward_modules=feed_forward_of(family),
    )


def prompt(family: str, task: str) -> PeftConfig:
    return PromptTuningConfig(task_type=task, num_virtual_tokens=LENGTH, **measures_of(family))


def p_tuning(family: str, task: str) -> PeftConfig:
    return PromptEncoderConfig(
        task_type=task, num_virtual_tokens=LENGTH, encoder_hidden_size=8, **measures_of(family)
    )


def prefix(family: str, task: str) -> PeftConfig:
    return PrefixTuningConfig(task_type=task, num_virtual_tokens=LENGTH)


def projected_prefix(family: str, task: str) -> PeftConfig:
    return PrefixTuningConfig(
        task_type=task, num_virtual_tokens=LENGTH, prefix_projection=True, encoder_hidden_size=8
    )


def difference(family: str, config: PeftConfig, directory: Path) -> float:
    """The greatest distance between the reference's answer and ours; fails if both are the base."""
    model = save(family, config, directory)
    expected = reference(model, IDS)
    base = tiny_model(family)
    delta = load(directory, describe(base, "tiny"))
    if delta.task is TaskType.EMBED:
        expected = torch.nn.functional.normalize(expected.mean(dim=0), dim=-1)
    answer = run(base, delta, IDS)
    assert expected.shape == answer.shape
    return float((expected - answer).abs().max())


@pytest.mark.parametrize(("family", "task"), CASES)
@pytest.mark.parametrize("make", [lora, ia3, prompt, p_tuning])
def test_a_method_matches_peft(family: str, task: str, make: Any, tmp_path: Path) -> None:
    assert difference(family, make(family, task), tmp_path) <= 1e-5


@pytest.mark.parametrize(("family", "task"), [case for case in CASES if case[0] != "distilbert"])
@pytest.mark.parametrize("make", [prefix, projected_prefix])
def test_a_prefix_matches_peft(family: str, task: str, make: Any, tmp_path: Path) -> None:
    assert difference(family, make(family, task), tmp_path) <= 1e-5


VARIANTS: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True},
    "bias of b": {"lora_bias": True},
    "rank pattern": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 3}},
    "alpha pattern": {"alpha_pattern": {"layers.0.self_attn.v_proj": 24, "down_proj": 1}},
    "both patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "regular expression": {"target_modules": r".*\.layers\.\d\.self_attn\.(q|k)_proj"},
    "exact name": {"target_modules": ["model.layers.1.mlp.up_proj"]},
    "excluded": {"exclude_modules": ["layers.0.self_attn.q_proj"]},
    "excluded by expression": {"exclude_modules": r".*layers\.1\.mlp.*"},
    "one layer": {"layers_to_transform": 1},
    "listed layers": {"layers_to_transform": [0], "layers_pattern": "layers"},
    "all linear": {"target_modules": "all-linear"},
    "lm head": {"target_modules": ["q_proj", "lm_head"]},
    "gaussian": {"init_lora_weights": "gaussian"},
    "dropout": {"lora_dropout": 0.5},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_lora_variant_matches_peft(name: str, tmp_path: Path) -> None:
    config = lora("llama", "CAUSAL_LM", **VARIANTS[name])
    assert difference("llama", config, tmp_path) <= 1e-5


def test_all_linear_on_gpt2_matches_peft(tmp_path: Path) -> None:
    config = lora("gpt2", "SEQ_CLS", target_modules="all-linear", fan_in_fan_out=True)
    assert difference("gpt2", config, tmp_path) <= 1e-5


def test_ia3_with_default_targets_matches_peft(tmp_path: Path) -> None:
    assert difference("gpt2", IA3Config(task_type="CAUSAL_LM"), tmp_path) <= 1e-5


def test_heads_saved_under_the_adapters_name_are_read(tmp_path: Path) -> None:
    save("llama", lora("llama", "SEQ_CLS"), tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    old = "base_model.model.score.modules_to_save.default.weight"
    tensors = load_file(weights)
    tensors[old] = tensors.pop("base_model.model.score.weight")
    save_file(tensors, weights)
    delta = load(tmp_path, describe(tiny_model("llama"), "tiny"))
    assert torch.equal(delta.parts[-1].tensors["0.weight"], tensors[old])

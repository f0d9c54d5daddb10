"""Whatever a PEFT directory holds that would be lost or misread is refused with its reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
)
from safetensors.torch import load_file, save_file

from deltas.base import BaseSpec, describe
from deltas.errors import DeltaError, InvalidDelta, UnsafeDelta, UnsupportedDelta, WrongBase
from deltas.formats import files_of, load
from tests.deltas.formats.peft_checkpoints import save, save_over
from tests.models import VOCABULARY, tiny_model

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    save("llama", LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["q_proj"]), tmp_path)
    return tmp_path


def edit_config(directory: Path, **changes: Any) -> None:
    config = json.loads((directory / CONFIG).read_text())
    (directory / CONFIG).write_text(json.dumps(config | changes))


def edit_weights(directory: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(directory / WEIGHTS)
    edit(tensors)
    save_file(tensors, directory / WEIGHTS)


SLOW = r"(?:\w|\w\w|\w\w\w|\.|\w\.)+(?:\w|\w\w|\.)+[A-Z]"
CONFIGS: dict[str, tuple[dict[str, Any], type[DeltaError], str]] = {
    "unknown type": ({"peft_type": "MAGIC"}, UnsupportedDelta, "MAGIC"),
    "no type": ({"peft_type": None}, UnsupportedDelta, "method"),
    "convertible type": ({"peft_type": "VERA"}, UnsupportedDelta, "save_as_lora"),
    "seq2seq": (
        {"task_type": "SEQ_2_SEQ_LM"},
        UnsupportedDelta,
        "'SEQ_2_SEQ_LM' is not done; known are CAUSAL_LM, SEQ_CLS, TOKEN_CLS, FEATURE_EXTRACTION",
    ),
    "dora": ({"use_dora": True}, UnsupportedDelta, "train it with use_dora=False"),
    "bias": ({"bias": "all"}, UnsupportedDelta, "bias='none'"),
    "alora": ({"alora_invocation_tokens": [1, 2]}, UnsupportedDelta, "sequence"),
    "trained tokens": ({"trainable_token_indices": [1]}, UnsupportedDelta, "token"),
    "expert parameters": ({"target_parameters": ["w"]}, UnsupportedDelta, "parameters"),
    "replicated layers": ({"layer_replication": [[0, 1]]}, UnsupportedDelta, "layers"),
    "qalora": ({"use_qalora": True}, UnsupportedDelta, "quantised"),
    "bdlora": ({"use_bdlora": {"nblocks": 2}}, UnsupportedDelta, "block"),
    "tied": ({"ensure_weight_tying": True}, UnsupportedDelta, "tied"),
    "kasa": ({"kasa_config": {"beta": 1}}, UnsupportedDelta, "base's own weights"),
    "megatron": ({"megatron_config": {"x": 1}}, UnsupportedDelta, "Megatron"),
    "sampled weights": ({"monteclora_config": {"x": 1}}, UnsupportedDelta, "sampled"),
    "arrow": ({"arrow_config": {"top_k": 1}}, UnsupportedDelta, "routing"),
    "mutated base": ({"init_lora_weights": "pissa_niter_4"}, UnsupportedDelta, "initialisation"),
    "quantised base": ({"init_lora_weights": "loftq"}, UnsupportedDelta, "initialisation"),
    "unknown field": ({"new_scale": 2}, UnsupportedDelta, "new_scale"),
    "whole module": ({"modules_to_save": ["score", "embed_tokens"]}, UnsupportedDelta, "embed"),
    "no targets": ({"target_modules": None}, InvalidDelta, "target_modules"),
    "more targets": ({"target_modules": ["q_proj", "k_proj"]}, InvalidDelta, "lacks"),
    "other targets": ({"target_modules": ["score"]}, InvalidDelta, "no targets"),
    "excluded": ({"exclude_modules": ["q_proj"]}, InvalidDelta, "no targets"),
    "other layers": ({"layers_to_transform": [0]}, InvalidDelta, "no targets"),
    "a layer list without a number": (
        {"layers_to_transform": [0, 1], "layers_pattern": "model|layers"},
        InvalidDelta,
        "no targets",
    ),
    "a layer list with a number of its own": (
        {"layers_to_transform": [0, 1], "layers_pattern": "(?P<index>model)|layers"},
        InvalidDelta,
        "no targets",
    ),
    "layer as text": ({"layers_to_transform": ["0"]}, InvalidDelta, "layers_to_transform"),
    "rank 0": ({"r": 0}, InvalidDelta, "rank 0"),
    "rank -1": ({"r": -1}, InvalidDelta, "rank -1"),
    "rank as text": (
        {"r": "4"},
        InvalidDelta,
        "'r' in adapter_config.json must be a whole number",
    ),
    "rank of a pattern as text": (
        {"rank_pattern": {"q_proj": "8"}},
        InvalidDelta,
        "'q_proj' in rank_pattern must be a whole number",
    ),
    "rank true": ({"r": True}, InvalidDelta, "'r'"),
    "another rank": ({"r": 8}, InvalidDelta, "rank 8"),
    "rank of a pattern": ({"rank_pattern": {"q_proj": 8}}, InvalidDelta, "rank 8"),
    "a pattern as list": (
        {"rank_pattern": ["q_proj"]},
        InvalidDelta,
        "'rank_pattern' in adapter_config.json must be an object",
    ),
    "alpha as text": ({"lora_alpha": "nan"}, InvalidDelta, "lora_alpha"),
    "endless alpha": ({"lora_alpha": 10**400}, InvalidDelta, "lora_alpha"),
    "infinite scale": ({"lora_alpha": 1e308}, InvalidDelta, "finite"),
    "bias that is absent": ({"lora_bias": True}, InvalidDelta, "missing"),
    "unsound expression": ({"target_modules": "("}, InvalidDelta, "expression"),
    "slow expression": ({"target_modules": SLOW}, InvalidDelta, "too long"),
    "slow pattern": ({"alpha_pattern": {SLOW: 1}}, InvalidDelta, "too long"),
    "vast expression": ({"target_modules": "(?:a{9999}){9999}"}, InvalidDelta, "repeats"),
    "deep expression": ({"target_modules": "(" * 1000 + ")" * 1000}, InvalidDelta, "nested"),
    "long expression": ({"target_modules": "a" * 3000}, InvalidDelta, "longer"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_refused(name: str, lora: Path, base: BaseSpec) -> None:
    changes, error, reason = CONFIGS[name]
    edit_config(lora, **changes)
    with pytest.raises(error, match=reason):
        load(lora, base)


def test_unset_fields_of_any_name_are_harmless(lora: Path, base: BaseSpec) -> None:
    edit_config(lora, new_feature=None, newer_feature=False, newest_feature={})
    assert load(lora, base).kinds == ("lora", "head")


Q = "base_model.model.model.layers.0.self_attn.q_proj"
TENSORS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], type[DeltaError], str]] = {
    "no B": (lambda t: t.pop(f"{Q}.lora_B.weight"), InvalidDelta, "missing"),
    "no module": (
        lambda t: (t.pop(f"{Q}.lora_A.weight"), t.pop(f"{Q}.lora_B.weight")),
        InvalidDelta,
        r"lacks the tensors of model\.layers\.0\.self_attn\.q_proj\.$",
    ),
    "no head": (lambda t: t.pop("base_model.model.score.weight"), InvalidDelta, "score.weight"),
    "extra tensor": (
        lambda t: t.update({f"{Q}.lora_magnitude_vector": torch.ones(32)}),
        UnsupportedDelta,
        "lora_magnitude_vector",
    ),
    "extra module": (
        lambda t: t.update({"base_model.model.lm_head.weight": torch.ones(1)}),
        UnsupportedDelta,
        "lm_head",
    ),
    "unknown prefix": (
        lambda t: [t.update({name.replace("base_model", "x"): t.pop(name)}) for name in list(t)],
        InvalidDelta,
        "lacks",
    ),
    "embedding": (
        lambda t: t.update({"base_model.model.model.embed_tokens.lora_embedding_A": torch.ones(1)}),
        UnsupportedDelta,
        "embedding",
    ),
    "a scalar": (
        lambda t: t.update({f"{Q}.lora_A.weight": torch.tensor(1.0)}),
        InvalidDelta,
        "rank",
    ),
    "a scalar head": (
        lambda t: t.update({"base_model.model.score.weight": torch.tensor(1.0)}),
        InvalidDelta,
        "head",
    ),
    "NaN": (lambda t: t[f"{Q}.lora_A.weight"].fill_(float("nan")), InvalidDelta, "finite"),
    "same meaning twice": (
        lambda t: t.update({Q.replace("base_model.model.", "") + ".lora_A.weight": torch.ones(1)}),
        InvalidDelta,
        "same meaning",
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_refused(name: str, lora: Path, base: BaseSpec) -> None:
    edit, error, reason = TENSORS[name]
    edit_weights(lora, edit)
    with pytest.raises(error, match=reason):
        load(lora, base)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_another_base_is_refused(family: str, lora: Path) -> None:
    with pytest.raises(DeltaError):
        load(lora, describe(tiny_model(family), "other"))


@pytest.mark.parametrize("config", [LoraConfig(r=2), IA3Config(feedforward_modules=[])])
def test_another_vocabulary_is_refused(config: PeftConfig, tmp_path: Path, base: BaseSpec) -> None:
    config.task_type, config.target_modules = TaskType.CAUSAL_LM, {"lm_head"}
    save_over(tiny_model("llama", vocab_size=VOCABULARY + 2), config, tmp_path)
    with pytest.raises(UnsupportedDelta, match="resized the vocabulary"):
        load(tmp_path, base)


def test_another_width_is_refused_with_both_shapes(lora: Path) -> None:
    wide = describe(tiny_model("llama", hidden_size=64), "wide")
    with pytest.raises(WrongBase, match=r"\(4, 64\).*\(4, 32\)"):
        load(lora, wide)


def test_weights_of_pickle_are_refused_with_the_conversion(lora: Path, base: BaseSpec) -> None:
    (lora / WEIGHTS).rename(lora / "adapter_model.bin")
    for read in (files_of, lambda directory: load(directory, base)):
        with pytest.raises(UnsafeDelta, match="safe_serialization"):
            read(lora)


def test_files_beside_a_sound_checkpoint_are_left_alone(lora: Path, base: BaseSpec) -> None:
    (lora / "training_args.bin").write_bytes(b"\x80\x04")
    (lora / "README.md").unlink()
    (lora / "README.md").symlink_to("/nonexistent")
    load(lora, base)
    assert files_of(lora) == {CONFIG, WEIGHTS}


def test_a_method_without_a_file_is_refused_as_peft_wrote_it(
    tmp_path: Path, base: BaseSpec
) -> None:
    save("llama", LoHaConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]), tmp_path)
    with pytest.raises(UnsupportedDelta, match="save_as_lora"):
        load(tmp_path, base)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"num_virtual_tokens": 4}, InvalidDelta),
        ({"token_dim": 16}, InvalidDelta),
        ({"num_transformer_submodules": 2}, UnsupportedDelta),
    ],
)
def test_virtual_tokens_must_be_as_declared(
    changes: dict[str, Any], error: type[DeltaError], tmp_path: Path, base: BaseSpec
) -> None:
    save("llama", PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(error):
        load(tmp_path, base)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"num_layers": 3}, WrongBase, "for 3 layers; the base has 2"),
        ({"num_attention_heads": 0}, InvalidDelta, "0 heads, 16 wide, cannot be read"),
        ({"num_attention_heads": 3}, InvalidDelta, "3 heads, 16 wide, cannot be read"),
        ({"token_dim": 8}, InvalidDelta, r"8 wide, cannot be read from the shape \(3, 64\)"),
    ],
)
def test_a_prefix_must_be_of_the_bases_layers(
    changes: dict[str, Any], error: type[DeltaError], reason: str, tmp_path: Path, base: BaseSpec
) -> None:
    save("llama", PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(error, match=reason):
        load(tmp_path, base)

"""A family from a JSON record is served like those that are known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, CwmConfig, PreTrainedConfig, Qwen3NextConfig

from deltas.errors import UnsupportedBase
from deltas.families import FAMILIES
from server.build import open_base
from server.model.base import Base, load_base
from server.model.runner import Runner
from server.settings import Settings
from tests.bases import save_base
from tests.models import seeded, tiny_config
from tests.server.engine.engines import tiny_tokenizer

_NAMES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
_NAMES = (*_NAMES, "num_attention_heads", "num_key_value_heads", "max_position_embeddings")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A base of an architecture that has no record here."""
    assert "cwm" not in FAMILIES
    sizes = tiny_config("llama").to_dict()
    rotation = {"rope_type": "default", "rope_theta": 1e4}
    config = CwmConfig(
        **{name: sizes[name] for name in _NAMES},
        head_dim=8,
        sliding_window=16,
        layer_types=["full_attention", "sliding_attention"],
        rope_parameters=rotation,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    seeded(AutoModelForCausalLM.from_config(config), 0).save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def opened(directory: Path, record: dict[str, object]) -> Base:
    file = directory.parent / "record.json"
    file.write_text(json.dumps(record))
    return open_base(Settings.gather(base=str(directory), dtype="float32", family_record=file))


def test_a_record_that_fits_is_served(directory: Path) -> None:
    base = opened(directory, {"like": "llama", "name": "cwm"})
    assert base.spec.family.name == "cwm"
    Runner(base, 8)


def test_a_record_that_does_not_fit_is_refused(directory: Path) -> None:
    with pytest.raises(UnsupportedBase, match="not where the record of cwm says"):
        opened(directory, {"like": "gpt2", "name": "cwm"})


def test_without_a_record_one_is_derived(directory: Path) -> None:
    base = open_base(Settings.gather(base=str(directory), dtype="float32"))
    assert base.spec.family == replace(FAMILIES["llama"], name="cwm")
    Runner(base, 8)


@pytest.mark.parametrize(
    "name", ["mistral", "qwen2", "qwen3", "gemma2", "olmo2", "cohere", "olmoe"]
)
def test_a_record_that_is_taken_away_is_derived_equal(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = FAMILIES[name]
    directory = save_base(name, tmp_path / "base")
    monkeypatch.delitem(FAMILIES, name)
    base = load_base(name, directory, torch.float32, torch.device("cpu"))
    # Nobody else's layers take the fast path of these as theirs do.
    alone = name in ("gemma2", "cohere")
    assert base.spec.family == (replace(own, pre_norm=None) if alone else own)
    Runner(base, 8)


def _next(**layers: Any) -> PreTrainedConfig:
    sizes = {name: tiny_config("llama").to_dict()[name] for name in _NAMES}
    return Qwen3NextConfig(**sizes, head_dim=8, num_experts=2, num_experts_per_tok=1, **layers)


def test_modules_that_are_not_understood_are_named(tmp_path: Path) -> None:
    _next().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedBase, match=r"linear_attn \(.*recurrent state"):
        load_base("next", tmp_path, torch.float32, torch.device("cpu"))


def test_sums_that_are_not_as_derived_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = save_base("granite", tmp_path / "base")
    monkeypatch.delitem(FAMILIES, "granite")
    with pytest.raises(UnsupportedBase, match="add up"):
        load_base("granite", directory, torch.float32, torch.device("cpu"))

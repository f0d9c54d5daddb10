"""A family from a JSON record is served like those that are known."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, CwmConfig

from deltas.errors import UnsupportedBase
from deltas.families import FAMILIES
from server.build import open_base
from server.model.base import Base
from server.model.runner import Runner
from server.settings import Settings
from tests.models import seeded, tiny_config
from tests.server.engine.engines import tiny_tokenizer


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A base of an architecture that has no record here."""
    assert "cwm" not in FAMILIES
    sizes = tiny_config("llama").to_dict()
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    names = (*names, "num_attention_heads", "num_key_value_heads", "max_position_embeddings")
    rotation = {"rope_type": "default", "rope_theta": 1e4}
    config = CwmConfig(
        **{name: sizes[name] for name in names},
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


def test_without_a_record_the_way_is_named(directory: Path) -> None:
    with pytest.raises(UnsupportedBase, match="--family-record"):
        open_base(Settings.gather(base=str(directory), dtype="float32"))

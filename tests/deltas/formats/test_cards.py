"""Cards: what a delta's own files say about how it came about."""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
from peft import LoraConfig

from deltas.base import BaseSpec, describe
from deltas.formats import card_of, load
from deltas.formats.native import write
from tests.deltas.formats.peft_checkpoints import save
from tests.models import tiny_model


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


def saved(directory: Path, **fields: Any) -> Path:
    """A checkpoint that PEFT wrote, with some fields as they are given."""
    save("llama", LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]), directory)
    config = directory / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))
    return directory


def test_peft_s_tells_the_base_its_revision_and_the_release(base: BaseSpec, tmp_path: Path) -> None:
    told = {"base_model_name_or_path": "org/base", "revision": "v1"}
    directory = saved(tmp_path, **told)
    card = card_of(directory)
    assert card == {**told, "peft_version": peft.__version__}
    assert json.loads(load(directory, base).card) == card


def test_what_is_no_text_is_left_out(base: BaseSpec, tmp_path: Path) -> None:
    fields = {"base_model_name_or_path": None, "revision": "", "peft_version": ["1"]}
    directory = saved(tmp_path, **fields)
    assert card_of(directory) == {}
    assert load(directory, base).card == ""


def test_a_native_one_tells_what_it_was_given(base: BaseSpec, tmp_path: Path) -> None:
    delta = load(saved(tmp_path / "peft"), base)
    write(delta, tmp_path / "native", base, {"data": "mine"})
    assert card_of(tmp_path / "native") == {"data": "mine"}
    write(delta, tmp_path / "bare", base)
    assert card_of(tmp_path / "bare") == {}

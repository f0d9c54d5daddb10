"""The page of what is loaded says what loading does: it is read back and held to real deltas."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftType,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
)

from deltas.base import BaseSpec, describe
from deltas.delta import Delta
from deltas.errors import UnsupportedDelta
from deltas.formats import DIALECTS, load
from deltas.kinds import KINDS
from docs.site.bring import page
from tests.deltas.formats.peft_checkpoints import save
from tests.models import tiny_model

SHOWN = page()
TOKENS: dict[str, Any] = {"task_type": "SEQ_CLS", "num_virtual_tokens": 2}
WRITTEN: dict[str, PeftConfig] = {
    "LORA": LoraConfig(task_type="SEQ_CLS", target_modules=["q_proj"]),
    "IA3": IA3Config(task_type="SEQ_CLS", target_modules=["q_proj"], feedforward_modules=[]),
    "PROMPT_TUNING": PromptTuningConfig(**TOKENS),
    "P_TUNING": PromptEncoderConfig(**TOKENS),
    "PREFIX_TUNING": PrefixTuningConfig(**TOKENS),
}


def section(heading: str) -> list[list[str]]:
    """The cells of the rows of a section's tables."""
    text = SHOWN.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0] != "---"]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


READ, CONVERTIBLE, REFUSED = (names(row[0]) for row in section("PEFT's methods")[1:4])
FIELDS = {row[0].strip("`"): row[1] for row in section("PEFT's LoRA")[1:]}


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound checkpoint."""
    folder = tmp_path_factory.mktemp("lora")
    save("llama", WRITTEN["LORA"], folder)
    return folder


def load_changed(lora: Path, folder: Path, base: BaseSpec, **changes: object) -> Delta:
    for file in lora.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((lora / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | changes))
    return load(folder, base)


def test_every_kind_every_dialect_and_every_method_of_the_library_is_on_it() -> None:
    assert [row[0] for row in section("Kinds")[1:]] == list(KINDS)
    assert [row[0] for row in section("Dialects")[1:]] == [each.name for each in DIALECTS]
    assert {each.value for each in PeftType} <= READ | CONVERTIBLE | REFUSED
    assert len(READ | CONVERTIBLE | REFUSED) == len(READ) + len(CONVERTIBLE) + len(REFUSED)
    assert WRITTEN.keys() == READ


@pytest.mark.parametrize("method", sorted(READ))
def test_a_method_becomes_the_kind_in_whose_row_it_stands(
    method: str, base: BaseSpec, tmp_path: Path
) -> None:
    save("llama", WRITTEN[method], tmp_path)
    rows = {row[0]: names(row[-1]) for row in section("Kinds")[1:]}
    (kind,) = (kind for kind, methods in rows.items() if method in methods)
    assert set(load(tmp_path, base).kinds) == {kind, "head"}
    assert "SEQ_CLS" in rows["head"]


@pytest.mark.parametrize("method", sorted(CONVERTIBLE | REFUSED))
def test_the_other_methods_are_refused_and_converted_where_it_says_so(
    method: str, lora: Path, base: BaseSpec, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedDelta, match=f"'{method}' is not read") as caught:
        load_changed(lora, tmp_path, base, peft_type=method)
    assert ("save_as_lora" in str(caught.value)) == (method in CONVERTIBLE)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_lora_is_refused_with_the_reason_that_it_gives(
    field: str, lora: Path, base: BaseSpec, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedDelta, match=re.escape(f"'{field}': {FIELDS[field]}")):
        load_changed(lora, tmp_path, base, **{field: True})


def test_starts_are_taken_or_refused_as_it_says(lora: Path, base: BaseSpec, tmp_path: Path) -> None:
    (line,) = re.findall(r"`init_lora_weights` may be ([^.]+)\. .* begin with (.+?) changed", SHOWN)
    for start in names(line[0]):
        value = json.loads(start.lower()) if start in ("True", "False") else start
        load_changed(lora, tmp_path, base, init_lora_weights=value)
    for start in names(line[1]):
        with pytest.raises(UnsupportedDelta, match="path_initial_model"):
            load_changed(lora, tmp_path, base, init_lora_weights=start)

"""The chat template beside a delta is the one that Transformers' tokenizer takes."""

import json
from pathlib import Path

import pytest
from peft import LoraConfig
from transformers import AutoTokenizer

from deltas.base import BaseSpec, describe
from deltas.errors import DeltaError
from deltas.formats import files_of, load, native
from deltas.formats.chat_template import MAX_CONFIG, MAX_TEMPLATE
from tests.bases import byte_tokenizer
from tests.deltas.formats.peft_checkpoints import save
from tests.models import tiny_model
from tests.samples import generator

OWN = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"


@pytest.fixture(scope="module")
def base() -> BaseSpec:
    return describe(tiny_model("llama"), "tiny")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    save("llama", LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"]), tmp_path)
    return tmp_path


@pytest.mark.parametrize("own_file", [True, False])
@pytest.mark.parametrize("template", [OWN, {"default": OWN, "tool_use": "with tools"}])
def test_it_is_what_transformers_takes(
    template: str | dict[str, str], own_file: bool, base: BaseSpec, lora: Path
) -> None:
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(lora, save_jinja_files=own_file)
    expected = AutoTokenizer.from_pretrained(lora).get_chat_template()
    assert load(lora, base).chat_template == expected == OWN
    assert ("chat_template.jinja" if own_file else "tokenizer_config.json") in files_of(lora)


def test_a_file_of_its_own_goes_first(base: BaseSpec, lora: Path) -> None:
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.save_pretrained(lora, save_jinja_files=False)
    (lora / "chat_template.jinja").write_text(OWN)
    expected = AutoTokenizer.from_pretrained(lora).get_chat_template()
    assert load(lora, base).chat_template == expected == OWN


def test_without_one_the_base_s_is_meant(base: BaseSpec, lora: Path) -> None:
    assert load(lora, base).chat_template == ""
    byte_tokenizer(chat=False).save_pretrained(lora)
    assert load(lora, base).chat_template == ""


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("chat_template.jinja", b" \n", "is empty"),
        ("chat_template.jinja", b"\xff", "UTF-8"),
        ("chat_template.jinja", b"x" * (MAX_TEMPLATE + 1), f"larger than {MAX_TEMPLATE} bytes"),
        ("tokenizer_config.json", b"{", "not sound JSON"),
        ("tokenizer_config.json", b" " * (MAX_CONFIG + 1), f"larger than {MAX_CONFIG} bytes"),
        ("tokenizer_config.json", b'{"chat_template": 5}', "must be a text"),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": "x" * (MAX_TEMPLATE + 1)}).encode(),
            f"larger than {MAX_TEMPLATE} bytes",
        ),
        (
            "tokenizer_config.json",
            b'{"chat_template": [{"name": "rag", "template": "x"}]}',
            r"none named 'default'.*chat_template\.jinja",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(
    name: str, content: bytes, reason: str, base: BaseSpec, lora: Path
) -> None:
    (lora / name).write_bytes(content)
    with pytest.raises(DeltaError, match=reason):
        load(lora, base)


def test_named_ones_alone_are_refused_as_transformers_does(base: BaseSpec, lora: Path) -> None:
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.chat_template = {"rag": OWN}
    tokenizer.save_pretrained(lora)
    with pytest.raises(ValueError, match="multiple chat templates"):
        AutoTokenizer.from_pretrained(lora).get_chat_template()
    with pytest.raises(DeltaError, match=r"no chat_template\.jinja"):
        load(lora, base)


def test_the_native_dialect_keeps_one(base: BaseSpec, tmp_path: Path) -> None:
    delta = generator("lora", base)
    native.write(delta, tmp_path, base)
    assert load(tmp_path, base).chat_template == ""
    (tmp_path / "chat_template.jinja").write_text(OWN)
    read = load(tmp_path, base)
    assert read.chat_template == OWN
    native.write(read, tmp_path / "again", base)
    assert load(tmp_path / "again", base).chat_template == OWN
    assert "chat_template.jinja" in files_of(tmp_path / "again")

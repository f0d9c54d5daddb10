"""Tokenizers beside a delta: saved by Transformers, equal to the base's or refused by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from peft import LoraConfig
from tokenizers import AddedToken, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from deltas.base import BaseSpec, describe
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.formats import files_of, judge, load
from deltas.tokenizer import TokenizerSpec
from tests.bases import byte_tokenizer
from tests.deltas.formats.peft_checkpoints import save
from tests.models import tiny_model

Change = Callable[[PreTrainedTokenizerFast], object]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseSpec:
    directory = tmp_path_factory.mktemp("base")
    byte_tokenizer(chat=True).save_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    spec = describe(tiny_model("llama"), "tiny")
    return replace(spec, tokenizer=TokenizerSpec.of(tokenizer, directory))


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    save("llama", LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"]), tmp_path)
    return tmp_path


def changed(directory: Path, change: Change) -> None:
    tokenizer = byte_tokenizer(chat=True)
    change(tokenizer)
    tokenizer.save_pretrained(directory)


def padded(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.pad_token = "</s>"
    tokenizer.backend_tokenizer.enable_truncation(16)
    tokenizer.backend_tokenizer.enable_padding()
    tokenizer.chat_template = "another"


@pytest.mark.parametrize("change", [lambda _: None, padded])
def test_one_that_reads_alike_is_taken(change: Change, base: BaseSpec, lora: Path) -> None:
    changed(lora, change)
    judge(lora, base)
    assert load(lora, base).kinds == ("lora",)
    # It is looked at and not kept: the base's reads the texts.
    assert "tokenizer.json" not in files_of(lora)


def test_another_layout_of_the_file_is_no_difference(base: BaseSpec, lora: Path) -> None:
    changed(lora, lambda _: None)
    file = lora / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=4, sort_keys=True))
    judge(lora, base)


def lowered(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: each.add_tokens(["<tool>"]), r"1 tokens more, '<tool>' \(3\d\d\)"),
        (
            lambda each: each.add_special_tokens({"eos_token": "<|user|>"}),
            r"its eos_token is '<\|user\|>', the base's '</s>'",
        ),
        (
            lambda each: each.add_special_tokens({"mask_token": "<pad>"}),
            "its mask_token is '<pad>', the base's none",
        ),
        (
            lambda each: each.add_tokens([AddedToken("<|tool|>", lstrip=True, special=True)]),
            r"1 added tokens are matched otherwise, '<\|tool\|>'",
        ),
    ],
)
def test_one_that_reads_otherwise_is_refused_by_name(
    change: Change, words: str, base: BaseSpec, lora: Path
) -> None:
    changed(lora, change)
    with pytest.raises(UnsupportedDelta, match=f"not the base's: .*{words}"):
        judge(lora, base)
    # What the refusal advises.
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (lora / name).unlink()
    judge(lora, base)


def test_other_rules_for_the_same_tokens_are_said(
    base: BaseSpec, lora: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed(lora, lowered)
    judge(lora, base)
    assert "it cuts the text 'The quick brown fox" in caplog.text


def test_a_token_of_another_number(base: BaseSpec, lora: Path) -> None:
    changed(lora, lambda _: None)
    file = lora / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(
        UnsupportedDelta, match=r"2 tokens have other numbers, '[ab]' \(\d+, not \d+\), '[ab]'"
    ):
        judge(lora, base)


def test_the_older_files_are_looked_at_too(base: BaseSpec, lora: Path) -> None:
    (lora / "added_tokens.json").write_text(json.dumps({"<s>": 1}))
    (lora / "special_tokens_map.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    judge(lora, base)
    (lora / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 384}))
    with pytest.raises(UnsupportedDelta, match=r"1 tokens more, '<\|im_start\|>' \(384\)"):
        judge(lora, base)
    (lora / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<|im_start|>"}))
    with pytest.raises(UnsupportedDelta, match=r"its bos_token is '<\|im_start\|>'"):
        judge(lora, base)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_tokenizer_is_refused(content: bytes, base: BaseSpec, lora: Path) -> None:
    (lora / "tokenizer.json").write_bytes(content)
    with pytest.raises(InvalidDelta, match=r"tokenizer\.json cannot be read"):
        judge(lora, base)


def test_one_through_a_link_is_refused(base: BaseSpec, lora: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "tokenizer.json"
    elsewhere.write_text("{}")
    (lora / "tokenizer.json").symlink_to(elsewhere)
    with pytest.raises(InvalidDelta):
        judge(lora, base)


def test_a_base_that_is_told_nothing_of_compares_nothing(lora: Path) -> None:
    changed(lora, lambda each: each.add_tokens(["<tool>"]))
    judge(lora, describe(tiny_model("llama"), "tiny"))

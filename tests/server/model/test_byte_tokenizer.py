"""ByT5's tokenizer: as a fast one it reads what Transformers' own reads."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, ByT5Tokenizer

from server.model.base import load_base
from server.model.byte_tokenizer import fast
from tests.encoder_decoders import tiny_encoder_decoder

TEXTS = [
    "The meeting is at noon.",
    "naïve café — 東京 🙂",
    " two  spaces\n\nand a tab\t",
    "<extra_id_0> is left </s> out",
    "\x00\x7f",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_it_reads_and_writes_as_transformers_own_does(text: str) -> None:
    slow = ByT5Tokenizer()
    quick = fast(slow)
    assert quick(text)["input_ids"] == slow(text)["input_ids"]
    assert len(quick) == len(slow)
    tokens = slow(text, add_special_tokens=False)["input_ids"]
    assert quick.decode(tokens) == slow.decode(tokens)


@pytest.mark.parametrize("tokens", [[233], [233, 160, 68], [236, 133, 176], [236, 133], [130, 69]])
def test_bytes_that_make_no_character_are_passed_over(tokens: list[int]) -> None:
    assert fast(ByT5Tokenizer()).decode(tokens) == ByT5Tokenizer().decode(tokens)


def test_a_pair_is_read_as_transformers_own_does() -> None:
    slow = ByT5Tokenizer()
    assert fast(slow)("a b", "ć")["input_ids"] == slow("a b", "ć")["input_ids"]


def test_a_base_with_it_is_loaded(tmp_path: Path) -> None:
    model = tiny_encoder_decoder("t5", vocab_size=384)
    model.save_pretrained(tmp_path)
    ByT5Tokenizer().save_pretrained(tmp_path)
    assert not AutoTokenizer.from_pretrained(tmp_path).is_fast
    base = load_base("tiny", tmp_path, torch.float32, torch.device("cpu"))
    assert base.tokenizer("ć")["input_ids"] == [*(byte + 3 for byte in "ć".encode()), 1]
    assert base.end_tokens >= {1}

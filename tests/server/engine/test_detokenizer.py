"""The detokenizer: pieces of text are whole characters and add up to the whole decode."""

from codecs import getincrementaldecoder
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from, text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from server.engine.detokenizer import Detokenizer
from server.engine.output import Piece
from server.engine.token_texts import TokenTexts
from tests.bases import VOCABULARY, byte_tokenizer

BYTES = byte_tokenizer(chat=True)


def metaspace_tokenizer() -> PreTrainedTokenizerFast:
    """Words begin with ▁ and unknown characters fall back to bytes, as in Llama 2."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "▁the", "▁noon", "t", "h", "e", "no", "on", "…"]
    tokenizer = Tokenizer(
        models.BPE({word: at for at, word in enumerate(words)}, [], byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


METASPACE = metaspace_tokenizer()
WORDS = metaspace_tokenizer()
WORDS.backend_tokenizer.decoder = decoders.Metaspace()


def pieces(
    tokenizer: PreTrainedTokenizerFast,
    tokens: Sequence[int],
    stop: Sequence[str] = (),
    context: Sequence[int] = (),
    least: int = 0,
) -> list[Piece]:
    """What a choice of these tokens, cut by its length, is told as."""
    detokenizer = Detokenizer(tokenizer, 0, stop, context, least)
    told: list[Piece] = []
    for at, token in enumerate(tokens):
        piece = detokenizer.push(token, "length" if at == len(tokens) - 1 else None)
        if piece is not None:
            told.append(piece)
            if piece.finish_reason is not None:
                break
    return told


def whole(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[int]) -> str:
    return tokenizer.backend_tokenizer.decode(list(tokens), skip_special_tokens=True)


@given(lists(integers(0, VOCABULARY - 1), min_size=1, max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_add_up(tokens: list[int]) -> None:
    told = pieces(BYTES, tokens)
    written = b"".join(TokenTexts.of(BYTES).shown(token) for token in tokens)
    decoder = getincrementaldecoder("utf-8")("replace")
    decoder.decode(written)
    # What only begins a character is the last one that a decoder puts in its place.
    sound = whole(BYTES, tokens)[: -1 if decoder.getstate()[0] else None]
    assert "".join(piece.text for piece in told) == sound
    assert [piece.finish_reason for piece in told] == [None] * (len(told) - 1) + ["length"]


@given(lists(integers(0, len(METASPACE) - 1), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_tokens_are_refused(tokens: list[int]) -> None:
    assert pieces(METASPACE, tokens)[-1].finish_reason == "length"


@pytest.mark.parametrize("tokenizer", [BYTES, METASPACE])
@given(text(min_size=1, max_size=12), data())
@settings(max_examples=200, deadline=None)
def test_tokens_begin_at_the_character_that_they_belong_to(
    tokenizer: PreTrainedTokenizerFast, source: str, choices: DataObject
) -> None:
    tokens = tokenizer.backend_tokenizer.encode(source).ids
    tokens = tokens[: choices.draw(integers(1, len(tokens)))]
    texts, detokenizer = TokenTexts.of(tokenizer), Detokenizer(tokenizer, 0, ())
    offsets: list[int] = []
    told = ""
    for at, token in enumerate(tokens):
        piece = detokenizer.push(token, "length" if at == len(tokens) - 1 else None)
        offsets.append(detokenizer.offset)
        told += piece.text if piece else ""
    # A decoder may take the space off a text's beginning; the tokens have it.
    written = b"".join(map(texts.bytes, tokens))
    lost = len(written.decode(errors="ignore")) - len(told)
    assert told == written.decode(errors="ignore")[lost:]
    starts = [sum(len(texts.bytes(each)) for each in tokens[:at]) for at in range(len(tokens))]
    known = [len(written[:start].decode(errors="ignore")) - lost for start in starts]
    assert offsets == [max(0, each) for each in known]


def test_parts_of_characters_are_told_apart() -> None:
    texts = TokenTexts.of(BYTES)
    tokens = BYTES.backend_tokenizer.encode(" \U0001f600").ids
    assert b"".join(map(texts.bytes, tokens)).decode() == " \U0001f600"
    assert r"bytes: \xf0\x9f" in [texts.text(token) for token in tokens]
    assert TokenTexts.of(METASPACE).text(METASPACE.convert_tokens_to_ids("<0xF0>")) == r"bytes:\xf0"
    assert TokenTexts.of(METASPACE).text(METASPACE.convert_tokens_to_ids("▁the")) == " the"
    assert texts.text(BYTES.eos_token_id) == "</s>"
    assert texts.shown(BYTES.eos_token_id) == b""


@given(text(min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_byte_fallbacks_add_up(source: str) -> None:
    tokens = METASPACE.backend_tokenizer.encode(source).ids
    told = pieces(METASPACE, tokens)
    assert "".join(piece.text for piece in told) == whole(METASPACE, tokens)


@pytest.mark.parametrize("tokenizer", [METASPACE, WORDS])
@given(
    lists(sampled_from(["▁the", "▁", "▁noon", "t", "he", "</s>"]), min_size=1, max_size=8),
    lists(sampled_from(["▁the", "▁", "on", "</s>"]), min_size=1, max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_a_continuation_keeps_the_space_that_it_begins_with(
    tokenizer: PreTrainedTokenizerFast, before: list[str], after: list[str]
) -> None:
    context, tokens = map(tokenizer.convert_tokens_to_ids, (before, after))
    told = "".join(piece.text for piece in pieces(tokenizer, tokens, (), context))
    assert whole(tokenizer, context) + told == whole(tokenizer, [*context, *tokens])
    alone = "".join(piece.text for piece in pieces(tokenizer, tokens))
    assert alone == whole(tokenizer, tokens)


def test_what_a_context_lacks_is_not_told_of_it() -> None:
    first, last = METASPACE.convert_tokens_to_ids(["<0xC3>", "<0xA9>"])
    the = METASPACE.convert_tokens_to_ids("▁the")
    told = pieces(METASPACE, [last, the], (), [the, first])
    assert "".join(piece.text for piece in told) == "\ufffd the"


@given(text(min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_characters_are_never_cut(source: str) -> None:
    tokens = BYTES.backend_tokenizer.encode(source).ids
    told = [piece.text for piece in pieces(BYTES, tokens)]
    assert "".join(told) == source
    assert all("\ufffd" not in piece for piece in told if "\ufffd" not in source)


@given(text("ab", min_size=1, max_size=30), lists(text("ab", min_size=1, max_size=4), max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_first_stop_string_to_be_whole_ends_a_text(source: str, stop: list[str]) -> None:
    # One token a character, so that the first whole stop string is met as soon as it is there.
    tokens = [BYTES.backend_tokenizer.encode(character).ids[0] for character in source]
    told = pieces(BYTES, tokens, stop)
    ends = [source.find(each) + len(each) for each in stop if each in source]
    cut = source[: min(ends)] if ends else source
    start = min((cut.find(each) for each in stop if each in cut), default=len(cut))
    assert "".join(piece.text for piece in told) == source[:start]
    assert told[-1].finish_reason == ("stop" if ends else "length")


@pytest.mark.parametrize("silent", [True, False])
def test_an_end_token_gives_out_what_was_held(silent: bool) -> None:
    detokenizer = Detokenizer(BYTES, 2, ["nothing"])
    (token,) = BYTES.backend_tokenizer.encode("n").ids
    assert detokenizer.push(token, None) is None
    end = None if silent else BYTES.eos_token_id
    assert detokenizer.push(end, "stop") == Piece(2, "n", "stop")


def test_a_stop_string_counts_once_enough_tokens_are_written() -> None:
    tokens = BYTES.backend_tokenizer.encode("1, 2, 3, 4").ids
    assert len(tokens) == 10
    for least, expected in ((0, "1"), (1, "1"), (2, "1, 2"), (8, "1, 2, 3, 4"), (4, "1, 2")):
        told = pieces(BYTES, tokens, [","], least=least)
        assert "".join(piece.text for piece in told) == expected
    # What begins early and ends later does stop.
    assert "".join(piece.text for piece in pieces(BYTES, tokens, [", 2"], least=3)) == "1"

"""What a caller may say of how its input is read."""

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from server.engine.message import Message
from server.engine.prompt import Prompt, build_prompt
from server.engine.prompt_options import PromptOptions, Side
from server.engine.request import Input, Pair
from server.engine.room import Room
from server.errors import ContextLengthExceeded, InvalidRequest
from tests.bases import byte_tokenizer

CHAT = byte_tokenizer(chat=True)
AROUND = byte_tokenizer(chat=False)
TEXT = "The meeting is at noon, see you there."
TURNS = (Message("user", "hello"), Message("assistant", "The meeting"))


def read(
    tokenizer: PreTrainedTokenizerFast, source: Input, room: int = 100, **options: Any
) -> Prompt:
    asked = PromptOptions(**options)
    style = PromptStyle.TEXT
    return build_prompt(tokenizer, source, style, generates=True, room=Room(room), options=asked)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("count", [1, 4])
def test_what_is_cut_is_within_the_special_tokens(side: Side, count: int) -> None:
    whole = read(AROUND, TEXT).tokens
    assert (whole[0], whole[-1]) == (1, 2)
    cut = read(AROUND, TEXT, truncate=count + 2, truncation_side=side)
    inner = whole[1:-1]
    assert cut.tokens == [1, *(inner[-count:] if side == "left" else inner[:count]), 2]
    assert len(cut.words) == len(cut.tokens)
    assert read(AROUND, TEXT, truncate=len(whole), truncation_side=side).tokens == whole
    tokens = tuple(inner)
    kept = read(AROUND, tokens, truncate=count, truncation_side=side).tokens
    assert kept == (inner[-count:] if side == "left" else inner[:count])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("texts", [("a query", TEXT), (TEXT, "a query"), (TEXT, TEXT)])
def test_a_pair_is_cut_as_transformers_cuts_it(side: Side, texts: tuple[str, str]) -> None:
    tokenizer = byte_tokenizer(chat=False)
    tokenizer.truncation_side = side
    for most in range(4, len(tokenizer(*texts)["input_ids"]) + 2):
        expected = tokenizer(*texts, truncation="longest_first", max_length=most)["input_ids"]
        found = read(AROUND, Pair(*texts), truncate=most, truncation_side=side)
        assert found.tokens == expected


def test_what_is_too_long_may_be_cut_to_the_room_that_there_is() -> None:
    whole = read(CHAT, TURNS).tokens
    with pytest.raises(ContextLengthExceeded):
        read(CHAT, TURNS, room=5)
    assert read(CHAT, TURNS, room=5, truncate=-1).tokens == whole[-5:]
    with pytest.raises(ContextLengthExceeded):
        read(CHAT, TURNS, room=5, truncate=6)


def test_special_tokens_around_a_text_and_a_chat() -> None:
    assert read(AROUND, TEXT, special=False).tokens == read(AROUND, TEXT).tokens[1:-1]
    AROUND.chat_template = CHAT.chat_template
    try:
        assert read(AROUND, TURNS, special=True).tokens == [1, *read(AROUND, TURNS).tokens, 2]
    finally:
        AROUND.chat_template = None


def test_a_chat_may_go_on_with_its_last_message() -> None:
    tokenizer = byte_tokenizer(chat=True)
    messages = [each.shown() for each in TURNS]
    ends: list[dict[str, bool]] = [
        {"opens": True},
        {"opens": False},
        {"opens": False, "continues": True},
    ]
    for options in ends:
        expected = tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=options["opens"],
            continue_final_message=options.get("continues", False),
            return_dict=False,
        )
        found = read(tokenizer, TURNS, **options)
        assert found.tokens == expected
        assert found.continued is options.get("continues", False)


def test_a_template_has_variables() -> None:
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.chat_template = "{{ messages[0].content }}{{ bos_token }}{{ tone }}"
    assert read(tokenizer, TURNS, variables={"tone": "dry"}).text == "hello<s>dry"
    assert read(tokenizer, TURNS).text == "hello<s>"


def test_a_text_of_no_tokens() -> None:
    with pytest.raises(InvalidRequest, match="no tokens"):
        read(CHAT, "")

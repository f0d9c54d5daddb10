import pytest

from deltas.delta import PromptStyle
from deltas.training.encoding import IGNORED, Encoder, targets_of
from deltas.training.examples import Labelled, Marked, Written
from server.engine.prompt import build_prompt
from tests.bases import byte_tokenizer

_TEXT = "You won a prize! Call now."


def _encoder(*, chat: bool = True, style: PromptStyle = PromptStyle.TEXT) -> Encoder:
    return Encoder(byte_tokenizer(chat=chat), ("B-x", "I-x", "O"), style, limit=64)


@pytest.mark.parametrize("chat", [True, False])
def test_a_text_is_read_as_the_server_reads_it(chat: bool) -> None:
    encoder = _encoder(chat=chat)
    one = encoder.encode(Labelled(_TEXT, "I-x"))
    served = build_prompt(encoder.tokenizer, _TEXT, PromptStyle.TEXT, generates=False)
    assert (one.tokens, one.targets) == (served.tokens, [1])


@pytest.mark.parametrize("style", PromptStyle)
def test_a_prompt_is_read_as_the_server_reads_it(style: PromptStyle) -> None:
    encoder = _encoder(style=style)
    served = build_prompt(encoder.tokenizer, _TEXT, style, generates=True)
    assert encoder.source_tokens(_TEXT) == served.tokens


def test_what_is_written_follows_the_prompt_and_ends() -> None:
    encoder = _encoder()
    one = encoder.encode(Written(_TEXT, "noon"))
    written = targets_of([one]).tolist()
    assert encoder.tokenizer.decode(written) == "noon</s>"
    assert one.tokens == [*encoder.source_tokens(_TEXT), *written[:-1]]
    assert len(one.tokens) == len(one.targets)


@pytest.mark.parametrize("chat", [True, False])
def test_a_word_is_tagged_at_its_first_token(chat: bool) -> None:
    encoder = _encoder(chat=chat)
    one = encoder.encode(Marked(["meeting", "Zürich", "!"], ["O", "B-x", "O"]))
    assert [encoder.labels[target] for target in targets_of([one])] == ["O", "B-x", "O"]
    assert one.targets.count(IGNORED) == len(one.tokens) - 3


def test_the_pieces_of_a_tagged_word_continue_it() -> None:
    encoder = _encoder(chat=False)
    one = encoder.encode(Marked(["it's", "B.C."], ["O", "B-x"]))
    tags = [encoder.labels[target] for target in targets_of([one])]
    assert tags[:2] == ["O", "O"]
    assert tags[2:] == ["B-x", *["I-x"] * (len(tags) - 3)]
    assert len(tags) > 4


def test_texts_are_cut() -> None:
    encoder = _encoder(chat=False)
    assert len(encoder.encode(Labelled(_TEXT * 50, "O")).tokens) == 64
    assert len(encoder.source_tokens(_TEXT * 50)) == 64

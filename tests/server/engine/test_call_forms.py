"""Forms of calls: what a template writes is what the grammar lets pass and the reader reads."""

import json
import time
from random import Random
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedTokenizerFast

from server.engine.call_form import HERMES, CallForm, form_of
from server.engine.chat_template import ChatTemplate, base_template
from server.engine.message import Chat, Message, ToolCall
from server.engine.output import Piece, joined
from server.engine.reply import Reply, ReplyForm
from server.engine.tools import Tool, Tools
from tests.server.engine.call_templates import REORDERED, TEMPLATES, WITHOUT_FORM, tokenizer_of

ANY = {"type": "object", "properties": {"x": {}}, "required": ["x"]}
TOOLS = Tools(tuple(Tool(name, "Tells", json.dumps(ANY)) for name in ("news", "news_of", "say")))
VALUES: list[Any] = [1, 'a\\b"}]\n', {"a": [{}, "{"]}, "Łódź 🙂", [[]], None]
SPELT: list[Any] = ["</tool_call>", "[TOOL_CALLS] [ARGS]"]
"""What a tokenizer that has these tags would read as such."""
ASKED = Message("user", "What is new?")
SPOKEN = "Let me see.\n"


def template_of(tokenizer: PreTrainedTokenizerFast, tools: Tools = TOOLS) -> ChatTemplate:
    found = base_template(tokenizer, Chat((ASKED,), tools.offered), tools)
    assert found is not None
    return found


def written(tokenizer: PreTrainedTokenizerFast, *messages: Message, opens: bool = False) -> str:
    chat = template_of(tokenizer).fitted(Chat((ASKED, *messages), TOOLS.offered), TOOLS)
    shown = chat.shown() | {"add_generation_prompt": opens}
    return str(tokenizer.apply_chat_template(shown.pop("messages"), tokenize=False, **shown))


def turn(tokenizer: PreTrainedTokenizerFast, calls: list[ToolCall]) -> str:
    """The turn that a template writes for calls, without its end."""
    whole = written(tokenizer, Message("assistant", "", tool_calls=tuple(calls)))
    said = whole.removeprefix(written(tokenizer, opens=True)).removesuffix("</s>")
    return said.replace("<think>\n\n</think>\n\n", "")


def calls(draw: Random, count: int, values: list[Any] = VALUES) -> list[ToolCall]:
    return [
        ToolCall(
            f"{draw.getrandbits(36):09x}",
            draw.choice(TOOLS.offered).name,
            json.dumps({"x": draw.choice(values)}, ensure_ascii=False),
        )
        for _ in range(count)
    ]


def takes(tokenizer: PreTrainedTokenizerFast, form: ReplyForm, text: str) -> bool:
    """Whether a text, tag by tag and byte by byte, may be written and may end there."""
    grammar = form.grammar.around(None) if form.grammar else None
    assert grammar is not None
    end: Any = [tokenizer.eos_token_id]
    known = LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, end)
    matcher = LLMatcher(known, grammar.written())
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def read(form: ReplyForm, text: str, draw: Random) -> tuple[str, list[tuple[str, str]]]:
    reply, pieces = Reply(form), list[Piece]()
    while len(text) > (length := draw.randint(1, 9)):
        pieces.append(reply.read(Piece(0, text[:length])))
        text = text[length:]
    pieces.append(reply.read(Piece(0, text, "stop")))
    assert pieces[-1].finish_reason == "tool_calls"
    found = joined(call for piece in pieces for call in piece.calls)
    return "".join(each.text for each in pieces), [(each.name, each.arguments) for each in found]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_writes_is_forced_and_read(name: str, *, special: bool) -> None:
    tokenizer, draw = tokenizer_of(TEMPLATES[name], special=special), Random(name)
    template = template_of(tokenizer)
    assert template.form is not None
    form = template.reply("", TOOLS)
    assert form is not None
    for count in [1] if name == "llama3" else [1, 1, 2, 3]:
        made = calls(draw, count, VALUES if special else [*VALUES, *SPELT])
        text = turn(tokenizer, made)
        expected = [(each.name, each.arguments) for each in made]
        assert takes(tokenizer, form, text), text
        assert takes(tokenizer, form, SPOKEN + text)
        assert read(form, text, draw) == ("", expected)
        assert read(form, SPOKEN + text, draw)[1] == expected
        assert not takes(tokenizer, form, text.replace('"x"', '"y"'))
        assert not takes(tokenizer, form, text.replace(made[0].name, "others"))


def test_a_form_that_calls_once_is_not_parallel() -> None:
    tokenizer = tokenizer_of(TEMPLATES["llama3"], special=False)
    form = template_of(tokenizer).reply("", TOOLS)
    assert form is not None
    text = turn(tokenizer, calls(Random(0), 1))
    assert not takes(tokenizer, form, f"{text}; {text}")


def test_calls_that_are_not_parallel_are_one() -> None:
    tokenizer = tokenizer_of(TEMPLATES["list"], special=False)
    form = template_of(tokenizer).reply("", Tools(TOOLS.offered, required=True, parallel=False))
    assert form is not None
    assert takes(tokenizer, form, turn(tokenizer, calls(Random(0), 1)))
    assert not takes(tokenizer, form, turn(tokenizer, calls(Random(0), 2)))
    assert not takes(tokenizer, form, "No.")


def test_fields_in_another_order_are_read_as_hermes() -> None:
    """As Hermes 2 Pro's own template gives them, which is not what its models write."""
    tokenizer = tokenizer_of(REORDERED, special=False)
    template = template_of(tokenizer)
    assert template.form == HERMES
    chat = Chat((ASKED, Message("assistant", "", tool_calls=tuple(calls(Random(0), 1)))), ())
    assert template.fitted(chat, TOOLS) == chat


@pytest.mark.parametrize("name", WITHOUT_FORM)
def test_others_are_shown_the_usual_form(name: str) -> None:
    tokenizer = tokenizer_of(WITHOUT_FORM[name], special=False)
    template = template_of(tokenizer)
    form = template.reply("", TOOLS)
    assert form is not None
    assert (template.form, form.calls) == (None, HERMES)
    chat = Chat((ASKED, Message("assistant", "", tool_calls=tuple(calls(Random(0), 1)))))
    fitted = template.fitted(chat, TOOLS)
    assert "<tool_call>" in fitted.messages[-1].content


def form_and_time(turn: str) -> tuple[CallForm | None, float]:
    """The form of a template that writes all calls as one turn, and the processor time it took."""

    def write(chat: Chat) -> str:
        last = chat.messages[-1]
        return "" if last.role == "user" else last.content or turn

    begun = time.thread_time()
    return form_of(write), time.thread_time() - begun


@pytest.mark.parametrize("repeated", ["first_probe", '{"one": "1st"}first_probe', "<tool_call>{}"])
@pytest.mark.parametrize("length", [1500, 50_000])
def test_what_a_template_repeats_is_read_once(repeated: str, length: int) -> None:
    usual = [form_and_time('<call>first_probe: {"one": "1st"}</call>') for _ in range(100)]
    assert all(found for found, _ in usual)
    form, seconds = form_and_time(repeated * (length // len(repeated)))
    assert form is None
    assert seconds < sum(each for _, each in usual)


def test_one_nested_too_deeply_has_no_form() -> None:
    assert form_and_time(f"<tool_call>{'[' * 1500}</tool_call>")[0] is None

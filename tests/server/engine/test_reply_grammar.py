"""What replies must keep to, token by token through llguidance itself."""

import json
from dataclasses import replace

import pytest
from llguidance import LLMatcher, LLTokenizer

from server.engine.grammar import Grammar
from server.engine.reply_grammar import ReplyGrammar
from server.engine.tools import Tool, Tools
from tests.bases import byte_tokenizer

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = Tools((Tool("weather", parameters=json.dumps(CITY)), Tool("news")))
WEATHER = '<tool_call>\n{"name": "weather", "arguments": {"city": "Łódź"}}\n</tool_call>'
NEWS = '<tool_call>\n{"name": "news", "arguments": {}}\n</tool_call>'
JSON = Grammar.of_schema({"const": 1}, "response_format")

AUTO = ReplyGrammar(TOOLS)
REQUIRED = ReplyGrammar(replace(TOOLS, required=True))
NAMED = ReplyGrammar(replace(TOOLS, required=True, named="news", parallel=False))
REASONS = ReplyGrammar(TOOLS, reasons=True)
BEGUN = ReplyGrammar(replace(TOOLS, required=True), reasons=True, begun=True)
THOUGHT = "Shall I <tool_call>?</think>\n\n"


def kept(grammar: ReplyGrammar, text: str, answer: Grammar | None = None) -> tuple[str, bool]:
    """How much of a text its grammar lets pass, and whether the text may end there."""
    tokenizer = byte_tokenizer(chat=True)
    whole = grammar.around(answer)
    assert whole is not None
    whole.check()
    end = [tokenizer.eos_token_id]
    known = LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, end)
    matcher = LLMatcher(known, whole.written())
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.encode(text, add_special_tokens=False)
    count = matcher.try_consume_tokens(tokens)
    return tokenizer.decode(tokens[:count]), matcher.is_accepting()


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (AUTO, ""),
        (AUTO, "No <tool, no <think>."),
        (AUTO, WEATHER),
        (AUTO, f"Let me see.\n{WEATHER}\n{NEWS}"),
        (REQUIRED, WEATHER),
        (REQUIRED, "\n".join([NEWS] * 16)),
        (NAMED, NEWS),
        (REASONS, f"<think>\n{THOUGHT}So."),
        (REASONS, f"<think>{THOUGHT}{NEWS}"),
        (REASONS, NEWS),
        (BEGUN, f"{THOUGHT}{NEWS}"),
    ],
)
def test_replies_that_may_be_written(grammar: ReplyGrammar, text: str) -> None:
    assert kept(grammar, text) == (text, True)


@pytest.mark.parametrize(
    ("grammar", "text", "length"),
    [
        (AUTO, "So <tool_call> it", len("So <tool_call>")),
        (AUTO, '<tool_call>\n{"name": "new"', len('<tool_call>\n{"name": "new')),
        (AUTO, WEATHER.replace("city", "town"), WEATHER.index("city")),
        (REQUIRED, "No", 0),
        (REQUIRED, f"{NEWS} ", len(NEWS)),
        (REQUIRED, "\n".join([NEWS] * 17), 16 * (len(NEWS) + 1) - 1),
        (NAMED, f"{NEWS}\n{NEWS}", len(NEWS)),
        (NAMED, WEATHER, WEATHER.index("weather")),
        (BEGUN, f"{THOUGHT}No", len(THOUGHT)),
    ],
)
def test_where_others_stop(grammar: ReplyGrammar, text: str, length: int) -> None:
    assert kept(grammar, text)[0] == text[:length]


def test_a_text_keeps_to_its_own_grammar() -> None:
    assert kept(AUTO, "1", JSON) == ("1", True)
    assert kept(AUTO, NEWS, JSON) == (NEWS, True)
    assert kept(AUTO, "2", JSON) == ("", False)
    assert kept(REASONS, f"<think>{THOUGHT}1", JSON)[1]
    assert kept(ReplyGrammar(reasons=True, begun=True), f"{THOUGHT}1", JSON)[1]
    assert kept(AUTO, "b", Grammar("grammar", 'start: "b"'))[1]
    assert ReplyGrammar().around(JSON) is JSON
    assert ReplyGrammar(reasons=True).around(None) is None

"""Structural tags: what is written and what may be, told by a reader that tries every way."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from server.engine.grammar import Grammar
from server.engine.output import Generated
from server.engine.reply_grammar import ReplyGrammar
from server.engine.request import Request, Sampling
from server.engine.tools import Tool, Tools
from tests.bases import byte_tokenizer
from tests.server.engine.engines import ask, serving, tiny_engine
from tests.server.engine.guided import byte_base
from tests.server.engine.tag_oracle import accepts

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 3}},
    "required": ["city"],
    "additionalProperties": False,
}
ANY = {"type": "any_text"}


def const(value: str) -> dict[str, Any]:
    return {"type": "const_string", "value": value}


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": value}


def tag(begin: str, content: Any, end: Any) -> dict[str, Any]:
    return {"type": "tag", "begin": begin, "content": content, "end": end}


CALLS = [
    tag("<f=a>", schema(CITY), "</f>"),
    tag("<f=b>", schema({"enum": [1, 2]}), "</f>"),
]
CALL = {"type": "triggered_tags", "triggers": ["<f="], "tags": CALLS}
LIST = {"type": "tags_with_separator", "tags": CALLS, "separator": ", "}
THOUGHT = tag("<t>", ANY, "</t>")
NUMBER = {"type": "regex", "pattern": "[0-9]{1,3}"}

FORMATS: dict[str, Any] = {
    "text": {"type": "or", "elements": [const("a/b"), const("a\n🙂"), NUMBER]},
    "greedy": {
        "type": "sequence",
        "elements": [{"type": "regex", "pattern": "[a-c]*"}, const("c")],
    },
    "calls": CALL,
    "first": CALL | {"at_least_one": True},
    "one": CALL | {"stop_after_first": True},
    "just one": CALL | {"at_least_one": True, "stop_after_first": True},
    "two triggers": {
        "type": "triggered_tags",
        "triggers": ["<f=", "<g"],
        "tags": [*CALLS, tag("<g>", NUMBER, ["</g>", "."])],
    },
    "clean": CALL | {"excludes": ["no", "<t>"]},
    "thought": {"type": "sequence", "elements": [THOUGHT, CALL]},
    "overlap": tag("(", ANY, ["aba", "b)"]),
    "excluded": tag("(", ANY | {"excludes": ["x"]}, ")"),
    "calls within": {"type": "sequence", "elements": [tag("[", CALL, "]"), const("!")]},
    "list": tag("[", LIST, "]"),
    "some": LIST | {"at_least_one": True},
    "first of list": LIST | {"stop_after_first": True},
    "repeat": {"type": "repeat", "min": 2, "max": 3, "content": tag("<", NUMBER, ">")},
    "star": {"type": "star", "content": tag("<", schema(CITY), ">")},
    "plus": {"type": "plus", "content": {"type": "optional", "content": const("ab")}},
    "open": {"type": "sequence", "elements": [const("So: "), tag("<", ANY, "")]},
    "values": tag("<", schema({"type": ["boolean", "null"]}), ">"),
}
FREE_WITHIN = {"thought", "overlap", "excluded", "calls within"}
"""Those in which a tag, which must end, holds a free text."""
TEXTS = [
    "",
    "a/b",
    "a\n🙂",
    "12",
    "abcc",
    'x<f=a>{"city": "Uz"}</f>y',
    '<f=a>{"city": "Uz"}</f><f=b>2</f>',
    "<f=b>1</f>",
    "<f=b>3</f>",
    "<f <f=b>1</f>",
    "no <f=b>1</f>",
    "<f=b>1</f> no",
    "<t>I <f=b>?</t> <f=b>1</f>",
    "<f=b>1</f>, <f=b>2</f>",
    '[<f=b>1</f>, <f=a>{"city": ""}</f>]',
    "[]",
    "[x<f=b>1</f>]!",
    "[]]!",
    "<g>12</g><f=b>1</f><g>1.",
    "(ababa",
    "(xb)",
    "(y)",
    "(y))",
    "<1><22>",
    "<1><22><3><4>",
    '<{"city": "a>b"}>',
    "abab",
    "So: <any thing>",
    "<true>",
    "<null>",
]


def grammar_of(form: Any) -> Grammar:
    return Grammar("structural_tag", json.dumps({"type": "structural_tag", "format": form}))


class Taking:
    """What a grammar lets pass, token by token through llguidance itself."""

    def __init__(self, grammar: Grammar) -> None:
        self._tokenizer = byte_tokenizer(chat=True)
        known: Any = self._tokenizer.backend_tokenizer.to_str()
        end: Any = [self._tokenizer.eos_token_id]
        grammar.check()
        self._matcher = LLMatcher(LLTokenizer(known, None, end), grammar.written())
        assert not self._matcher.is_error(), self._matcher.get_error()

    def takes(self, text: str) -> bool:
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        matcher = self._matcher.deep_copy()
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def changed(text: str, draw: Random) -> str:
    """A text with something more, less or other in it."""
    at, end = sorted(draw.choices(range(len(text) + 1), k=2))
    return text[:at] + draw.choice(["", "<f=b>", "</f>", "b", "a)", text[at:end] * 2]) + text[end:]


@pytest.mark.parametrize("name", FORMATS)
def test_what_may_be_written(name: str) -> None:
    taking, draw = Taking(grammar_of(FORMATS[name])), Random(name)
    right = [text for text in TEXTS if accepts({"format": FORMATS[name]}, text)]
    assert right
    texts = [*TEXTS, *(changed(draw.choice(right), draw) for _ in range(200))]
    taken = {text for text in texts if taking.takes(text)}
    assert taken == {text for text in texts if accepts({"format": FORMATS[name]}, text)}


async def test_what_is_written(tmp_path: Path) -> None:
    async with serving(tiny_engine(byte_base("llama"), {}, tmp_path)) as engine:
        for name, form in FORMATS.items():
            for seed in range(3):
                sampling = Sampling(max_tokens=60, temperature=1.0, seed=seed)
                request = Request(f"{name} {seed}", "base", "x", sampling, grammar=grammar_of(form))
                (output,) = await ask(engine, request)
                assert isinstance(output, Generated)
                # Where a free text is to end is not known to what ends others in time.
                cut = output.finish_reason == "length" and name in FREE_WITHIN
                assert cut or accepts({"format": form}, output.text), (name, output)


def test_the_older_form_says_the_same() -> None:
    older = {
        "type": "structural_tag",
        "structures": [
            {"begin": each["begin"], "schema": each["content"]["json_schema"], "end": each["end"]}
            for each in CALLS
        ],
        "triggers": ["<f="],
    }
    written = Grammar("structural_tag", json.dumps(older)).written()
    assert written == grammar_of(CALL).written()


def test_one_within_a_reply() -> None:
    tools = ReplyGrammar(Tools((Tool("weather"),)), reasons=True)
    whole = tools.around(grammar_of(THOUGHT | {"content": schema({"const": 1})}))
    assert whole is not None
    taking = Taking(whole)
    assert taking.takes("<think>Well.</think>\n<t>1</t>")
    assert not taking.takes("<t>2</t>")


def nested(depth: int) -> Any:
    """Tags of tags that must all be written; a schema is within."""
    form = schema(CITY)
    for level in range(depth):
        tags = [tag(f"<{level}>", form, "</>")]
        form = CALL | {"triggers": ["<"], "tags": tags, "at_least_one": True}
    return form


def written(form: Any) -> int:
    return len(grammar_of(form).written())


def test_each_level_is_written_once() -> None:
    assert written(nested(10)) < 3 * written(nested(5))


def test_ends_are_written_once() -> None:
    def asked(count: int) -> Any:
        anything = [const(f"text {at}") for at in range(count)]
        ends = [f"end {at}" for at in range(count)]
        free = tag("(", ANY, ends)
        return {
            "type": "or",
            "elements": [free, tag("<", {"type": "or", "elements": anything}, ends)],
        }

    assert written(asked(200)) < 5 * written(asked(50))


def test_triggers_are_written_once() -> None:
    def asked(count: int) -> Any:
        tags = [tag(f"<{at}>", const("x"), ">") for at in range(count)]
        return CALL | {"tags": tags, "triggers": [each["begin"] for each in tags]}

    assert written(asked(200)) < 5 * written(asked(50))


REFUSED: dict[str, Any] = {
    "no format": None,
    '"dispatch" is not supported': {"type": "dispatch"},
    'token" is not supported': {"type": "token", "token": 3},
    "qwen_xml": {"type": "json_schema", "json_schema": {}, "style": "qwen_xml"},
    '"max_tokens" of "any_text" is not supported': ANY | {"max_tokens": 3},
    '"offset" of "any_text" is not supported': ANY | {"offset": 0},
    "not true": {"type": "repeat", "min": True, "max": 2, "content": const("a")},
    "at_least_one must be true or false, not 1": CALL | {"at_least_one": 1},
    'stop_after_first must be true or false, not "false"': LIST | {"stop_after_first": "false"},
    "triggers must be texts that are not empty": CALL | {"triggers": ["<f=", ""]},
    "the last of its tag": {"type": "sequence", "elements": [ANY, const("a")]},
    "just one of the triggers": CALL | {"triggers": ["<g"]},
    "value must be a text": {"type": "const_string"},
    "elements must be a list": {"type": "or", "elements": []},
    "uniqueItems": schema({"type": "array", "uniqueItems": True}),
    "more than 1048576 characters": tag(
        "(",
        {"type": "or", "elements": [CALL | {"triggers": ["<f=", f"{at}"]} for at in range(100)]},
        [f"this is the end {at}" for at in range(1000)],
    ),
    "up to 1000": {"type": "repeat", "min": 0, "max": 1001, "content": const("a")},
}


@pytest.mark.parametrize("words", REFUSED)
async def test_what_cannot_be_kept_to_is_refused_by_name(words: str, tmp_path: Path) -> None:
    async with serving(tiny_engine(byte_base("llama"), {}, tmp_path)) as engine:
        grammar = grammar_of(REFUSED[words])
        expected = "is not supported" if words == "no format" else words
        with pytest.raises(Exception, match="structural tag cannot be kept to") as refusal:
            await ask(engine, Request("x", "base", "x", grammar=grammar))
        assert expected in str(refusal.value)

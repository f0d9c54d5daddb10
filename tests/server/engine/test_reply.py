"""Replies read in pieces of any length, against Transformers' reading of the whole."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from transformers.utils.chat_parsing import parse_response

from server.engine.call_form import HERMES
from server.engine.output import CallPiece, Piece, joined
from server.engine.reply import Reply, ReplyForm, tagged

ARGUMENTS = '{"a": {"b": [1, {"c": "}"}]}, "d": "</tool_call> \\" ✓"}'
CALL = '<tool_call>\n{"name": "f", "arguments": %s}\n</tool_call>'
SHOWN = {"a": {"b": [1, {"c": "}"}]}, "d": '</tool_call> " ✓'}
TAGGED = ReplyForm(tagged(reasoning=True, calls=HERMES))
TEMPLATE: Mapping[str, Any] = {
    "start_anchor": "assistant:",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>"},
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>\s*<function=(?P<name>\w+)>",
            "close_pattern": r"</function>\s*</tool_call>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {"tag_pattern": r"<(?P<key>\w+)>(?P<value>.*?)</"},
            "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {},
    },
}
"""Tags within tags, as newer models write them."""
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
}


def read(form: ReplyForm, text: str, seed: int, finish: Any = "stop") -> list[Piece]:
    random, reply = Random(seed), Reply(form)
    pieces: list[Piece] = []
    while len(text) > (length := random.randint(1, 9)):
        pieces.append(reply.read(Piece(0, text[:length])))
        text = text[length:]
    return [*pieces, reply.read(Piece(0, text, finish))]


def text_of(pieces: Sequence[Piece]) -> tuple[str, str]:
    return "".join(each.reasoning for each in pieces), "".join(each.text for each in pieces)


def calls_of(pieces: Sequence[Piece]) -> list[tuple[str, Any]]:
    calls = joined(call for piece in pieces for call in piece.calls)
    assert len({call.id for call in calls}) == len(calls)
    assert all(len(call.id) == 9 and call.id.isalnum() for call in calls)
    return [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize("seed", range(5))
def test_parts_between_tags(seed: int) -> None:
    calls = "\n".join(CALL % each for each in (ARGUMENTS, "{}"))
    pieces = read(TAGGED, f"<think>\nHm.\n</think>\n\nLet me see.\n{calls}", seed)
    assert text_of(pieces) == ("Hm.", "Let me see.")
    assert calls_of(pieces) == [("f", SHOWN), ("f", {})]
    assert pieces[-1].finish_reason == "tool_calls"


def test_names_come_first_and_arguments_as_they_are_written() -> None:
    pieces = [call for each in read(TAGGED, CALL % ARGUMENTS, 0) for call in each.calls]
    first, *rest = pieces
    assert (first.index, first.name) == (0, "f")
    assert first.id
    assert len(rest) > 5
    assert rest == [CallPiece(0, each.arguments) for each in rest]
    assert "".join(each.arguments for each in pieces) == ARGUMENTS


@pytest.mark.parametrize("text", ["  A text. \n", "<thin", "a < b <tool_cal", "", "{}\n</think"])
def test_what_has_no_parts_stays_as_it_is(text: str) -> None:
    pieces = read(TAGGED, text, 1)
    assert text_of(pieces) == ("", text)
    assert pieces[-1].finish_reason == "stop"


def test_a_prompt_may_have_begun_the_reasoning() -> None:
    form = ReplyForm(TAGGED.template, prefix="<think>")
    assert text_of(read(form, "Hm.\n</think>\n\nSo.", 2)) == ("Hm.", "So.")
    assert text_of(read(form, "Hm.", 2, "length")) == ("Hm.", "")


def test_a_call_cut_short_is_told_as_far_as_it_came() -> None:
    whole = CALL % ARGUMENTS
    pieces = read(TAGGED, whole[: whole.index("[1")], 3, "length")
    (call,) = joined(call for piece in pieces for call in piece.calls)
    assert (call.name, call.arguments) == ("f", '{"a": {"b": ')
    assert pieces[-1].finish_reason == "length"


@pytest.mark.parametrize("inside", ["nothing", '{"nam": 1}', ""])
def test_what_is_no_call_after_all_is_text(inside: str) -> None:
    pieces = read(TAGGED, f"So: <tool_call>{inside}", 4)
    assert not calls_of(pieces)
    assert text_of(pieces) == ("", f"So:{inside}")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prompt", ["user: <think> assistant:", "assistant:<think>"])
def test_a_response_template_is_read_as_transformers_does(prompt: str, seed: int) -> None:
    text = "Hm.</think>So.<tool_call><function=f><n>7</n></function></tool_call>"
    if not prompt.endswith("<think>"):
        text = f"<think>{text}"
    expected = parse_response(text, dict(TEMPLATE), prefix=prompt, tools=[TOOL])
    pieces = read(ReplyForm(TEMPLATE, prompt, tools=(TOOL,)), text, seed)
    assert text_of(pieces) == (expected["reasoning_content"], expected["content"])
    functions = [each["function"] for each in expected["tool_calls"]]
    assert calls_of(pieces) == [(each["name"], each["arguments"]) for each in functions]
    assert calls_of(pieces) == [("f", {"n": 7})]


def test_what_its_parser_does_not_take_is_text() -> None:
    call = {"open": "<call>", "close": "</call>", "content": "json"}
    form = ReplyForm({**TEMPLATE, "fields": {"content": {}, "tool_calls": call}})
    pieces = read(form, "So <call>{nothing</call> it", 0)
    _, text = text_of(pieces)
    assert text.startswith("So {nothing")
    assert text.endswith("> it")
    assert pieces[-1].finish_reason == "stop"

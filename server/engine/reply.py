"""Replies: what an assistant's turn holds beside its text, read as it comes.

Where the turn's parts begin and end is told by Transformers' parser of responses.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from transformers.utils.chat_parsing import ResponseParser

from server.engine.call_form import HERMES, CallForm
from server.engine.call_reader import CallReader, whole_call
from server.engine.output import CallPiece, Piece, joined
from server.engine.reply_grammar import ReplyGrammar

_OPEN_THINK = re.compile(r"<think>\s*\Z")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class ReplyForm:
    """How a reply's parts are marked: a response template as Transformers has them.

    `prefix` is what the chat template has begun the reply with. `special` says that markers may be
    special tokens, which texts otherwise leave out. Arguments become what the `tools` declare.
    `calls` is how it writes calls, and `grammar` makes what it must keep to, where its parts can be
    forced.
    """

    template: Mapping[str, Any]
    prefix: str = ""
    special: bool = False
    tools: tuple[Mapping[str, Any], ...] = ()
    calls: CallForm = HERMES
    grammar: ReplyGrammar | None = None


@cache
def tagged(*, reasoning: bool, calls: CallForm | None) -> Mapping[str, Any]:
    """The response template of replies that reason between tags and then call in a form.

    Calls are the end of a reply and stay a text here: `CallReader` reads it before it is all there.
    """
    fields: dict[str, Any] = {"content": {}}
    if reasoning:
        fields["reasoning_content"] = {
            "open_pattern": r"\s*<think>\s*",
            "close_pattern": r"\s*</think>\s*",
        }
    if calls is not None:
        fields[_CALLS] = {"open_pattern": rf"\s*{re.escape(calls.mark)}\s*"}
    return {"start_anchor_pattern": r"\A", "fields": fields}


def begun_with(prompt: str) -> str:
    """What a prompt has begun the reply with: some templates open the reasoning themselves."""
    return "<think>" if _OPEN_THINK.search(prompt) else ""


class Reply:
    """Reads one choice's pieces."""

    def __init__(self, form: ReplyForm) -> None:
        tools: list[Any] = [dict(tool) for tool in form.tools]
        self._parser = ResponseParser(dict(form.template), form.prefix, tools=tools)
        self._form = form.calls
        self._called = 0
        self._call: CallReader | None = None
        self._broken = False

    def read(self, piece: Piece) -> Piece:
        """The piece with its text told apart, as far as that is certain."""
        texts: list[str] = []
        reasoning: list[str] = []
        calls: list[CallPiece] = []
        finish = piece.finish_reason
        for field, part in self._parts(piece.text, ends=finish is not None):
            if isinstance(part, CallPiece):
                calls.append(part)
            elif field == "content":
                texts.append(part)
            elif field in _REASONING:
                reasoning.append(part)
        return replace(
            piece,
            text="".join(texts),
            reasoning="".join(reasoning),
            calls=joined(calls),
            finish_reason="tool_calls" if finish == "stop" and self._called else finish,
        )

    def _parts(self, text: str, *, ends: bool) -> Iterator[tuple[str, str | CallPiece]]:
        if self._broken:
            yield "content", text
            return
        try:
            events = self._parser.feed(text)
            if ends:
                events += self._parser.finalize()[1]
        except (KeyError, ValueError):
            # It does not keep to the form: from here on it is text.
            self._broken = True
            yield "content", (self._call.held if self._call else "") + text
            return
        for event in events:
            if event["field"] == _CALLS:
                yield from self._call_parts(event)
            elif event["type"] == "region_chunk":
                yield event["field"], event["text"]

    def _call_parts(self, event: Mapping[str, Any]) -> Iterator[tuple[str, str | CallPiece]]:
        call = self._call
        if event["type"] == "region_open":
            self._call = CallReader(self._called, self._form)
        elif call is not None and event["type"] == "region_chunk":
            pieces = call.push(event["text"])
            yield from ((_CALLS, piece) for piece in pieces)
        elif call is not None:
            self._call = None
            if call.count:
                self._called += call.count
            else:
                yield from self._whole(event["value"], call.held)

    def _whole(self, value: Any, text: str) -> Iterator[tuple[str, str | CallPiece]]:
        """Calls that the parser alone could read; what is none after all is text."""
        before = self._called
        for each in value if isinstance(value, list) else [value]:
            pieces = whole_call(self._called, each)
            self._called += bool(pieces)
            yield from ((_CALLS, piece) for piece in pieces)
        if self._called == before:
            yield "content", text

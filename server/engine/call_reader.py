"""Calls as an answer writes them: a name, then arguments piece by piece."""

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

from server.engine.call_form import HERMES, CallForm
from server.engine.output import CallPiece

_ID_DIGITS = 9
"""Some templates of Mistral's take ids of exactly nine letters and digits."""
_MARKS = re.compile(r'["\\{}\[\]]')


class CallReader:
    """Reads calls from behind the mark that begins them; `index` is the first one's of its answer.

    `held` is what has come and is not told yet, `count` how many calls have been told.
    """

    def __init__(self, index: int, form: CallForm = HERMES) -> None:
        self.held = ""
        self.count = 0
        self._index = index
        self._form = form
        self._head: re.Pattern[str] | None = form.first
        self._value: _Value | None = None

    def push(self, text: str) -> Iterator[CallPiece]:
        """Tell what is certain once `text` has come."""
        self.held += text
        while True:
            if self._value is None:
                head = self._head.match(self.held) if self._head else None
                if head is None:
                    return
                self.held = self.held[head.end() :]
                self._value, self._head = _Value(), self._form.following
                self.count += 1
                yield CallPiece(
                    self._index + self.count - 1, "", _new_id(), self._name(head["name"])
                )
            arguments, self.held = self._value.taken(self.held)
            if arguments:
                yield CallPiece(self._index + self.count - 1, arguments)
            if not self._value.whole:
                return
            self._value = None

    def _name(self, written: str) -> str:
        return json.loads(f'"{written}"') if self._form.between.startswith('"') else written


class _Value:
    """One object of JSON, as far as it has come."""

    def __init__(self) -> None:
        self.whole = False
        self._depth = 0
        self._in_text = False
        self._escaped = False

    def taken(self, text: str) -> tuple[str, str]:
        """What of a text belongs to it, and what is behind it."""
        at = 0
        while found := _MARKS.search(text, at):
            if self._escaped and at < found.start():
                self._escaped = False
            at = found.end()
            self._pass(found[0])
            if self._depth == 0 and not self._in_text:
                self.whole = True
                return text[:at], text[at:]
        if at < len(text):
            self._escaped = False
        return text, ""

    def _pass(self, mark: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_text and mark == "\\":
            self._escaped = True
        elif mark == '"':
            self._in_text = not self._in_text
        elif not self._in_text:
            self._depth += 1 if mark in "{[" else -1


def whole_call(index: int, value: Any) -> list[CallPiece]:
    """Tell a call that a parser has read in Transformers' form; nothing for what is none."""
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        return []
    arguments = function.get("arguments") or {}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return [CallPiece(index, "", _new_id(), name), CallPiece(index, text)]


def _new_id() -> str:
    return secrets.token_hex(_ID_DIGITS)[:_ID_DIGITS]

"""Calls as an answer writes them: a name, then arguments piece by piece."""

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

from server.engine.output import CallPiece

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)')
_TAIL = re.compile(r"\s*\}?\s*\Z")
"""What may end a call's object behind its arguments."""
_ID_DIGITS = 9
"""Some templates of Mistral's take ids of exactly nine letters and digits."""


class CallReader:
    """Reads one call, number `index` of its answer.

    `held` is what has come and is not told yet, `begun` whether the name has been told.
    """

    def __init__(self, index: int) -> None:
        self.held = ""
        self.begun = False
        self._index = index

    def push(self, text: str) -> Iterator[CallPiece]:
        """Tell what is certain once `text` has come: all but what may be the object's end."""
        self.held += text
        if not self.begun:
            head = _HEAD.match(self.held)
            if head is None:
                return
            self.held = self.held[head.end() :]
            yield self._begin(json.loads(head.group(1)))
        tail = _TAIL.search(self.held)
        end = tail.start() if tail else len(self.held)
        arguments, self.held = self.held[:end], self.held[end:]
        if arguments:
            yield CallPiece(self._index, arguments)

    def _begin(self, name: str) -> CallPiece:
        self.begun = True
        return CallPiece(self._index, "", _new_id(), name)


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

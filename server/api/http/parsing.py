"""Parsing: JSON from clients, whose size is known before anything is made of it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

from server.errors import InvalidRequest

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 32
MAX_CONTAINERS = 1 << 12
"""Lists and objects: each may become a model, which takes as long as a hundred numbers."""
MAX_TEXTS = 1 << 14
MAX_VALUES = 1 << 17
MAX_DIGITS = 400
"""Of one number. Reading an integer takes the square of its digits."""

_SHOWN_KEY = 64
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_MARK = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
"""What decides where brackets are outside of texts."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse(data: bytes) -> Json:
    """Parse a body.

    The parser neither stops nor lets another thread run before it has made every value, so values
    are counted first. Raises InvalidRequest, saying where, if there are too many of them, for what
    is no JSON in UTF-8 and for a key that an object repeats.
    """
    _check_size(data)
    try:
        return json.loads(data.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: see byte {error.start}.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not valid JSON: {error.msg} at {place}.") from None


def _check_size(data: bytes) -> None:
    # Without escaped quotes, every other stretch between quotes is outside of texts.
    bare = data.replace(rb"\\", b"").replace(rb"\"", b"")
    _limit(bare.count(b'"') // 2, MAX_TEXTS, "texts and keys")
    outside = b"".join(bare.split(b'"')[::2])
    containers = outside.count(b"[") + outside.count(b"{")
    _limit(containers, MAX_CONTAINERS, "lists and objects")
    _limit(containers + outside.count(b","), MAX_VALUES, "values")
    brackets = outside.translate(None, _NO_BRACKETS)
    depth = max(accumulate(1 if each in b"[{" else -1 for each in brackets), default=0)
    if depth > MAX_DEPTH:
        place = _too_deep(data)
        raise InvalidRequest(
            f"The body is nested deeper than {MAX_DEPTH} levels: see byte {place}."
        )
    if b"0" * MAX_DIGITS in outside.translate(_ZEROS):
        raise InvalidRequest(f"The body holds a number of {MAX_DIGITS} digits or more.")


def _too_deep(data: bytes) -> int:
    """The first byte that opens a level too many."""
    depth, within = 0, False
    for match in _MARK.finditer(data):
        if match[0] == b'"':
            within = not within
        elif not within:
            depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(match[0], 0)
            if depth > MAX_DEPTH:
                return match.start()
    return len(data)


def _limit(count: int, most: int, what: str) -> None:
    if count > most:
        message = f"The body holds {count} {what}; at most {most} are taken: split the request."
        raise InvalidRequest(message)


def _object(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise InvalidRequest(f"An object of the body repeats the key {repeated[:_SHOWN_KEY]!r}.")
    return found

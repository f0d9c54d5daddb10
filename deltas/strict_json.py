"""JSON from strangers: bounded, unambiguous and finite."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import NoReturn, TypeAlias

from deltas.errors import InvalidDelta

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8


def parse(data: bytes, name: str, max_bytes: int = MAX_BYTES) -> dict[str, Json]:
    """Parse one JSON object; `name` is what messages call it.

    Raises InvalidDelta if it is too large or too deep, repeats a key, holds a number that is not
    finite or a text that UTF-8 cannot hold, or is no object.
    """
    if len(data) > max_bytes:
        raise InvalidDelta(f"{name} is larger than {max_bytes} bytes.")
    try:
        value: Json = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
        # An escape may name half of a surrogate pair, which nothing can write down afterwards.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidDelta(f"{name} is not sound JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidDelta(f"{name} must hold a JSON object.")
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidDelta(f"{name} is nested deeper than {MAX_DEPTH} levels.")
    return value


def _object(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _is_deeper(value: Json, most: int) -> bool:
    """Whether containers lie deeper than `most`; level by level, for a stack may be nearly full."""
    level = [value]
    for _ in range(most + 1):
        level = [child for item in level for child in _children(item)]
    return bool(level)


def _children(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

"""Faults: what is wrong with a body, each told with its place there."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

_SHOWN = 3
_BEGINNING = "Input should be "
_TEXTS = {
    "extra_forbidden": "This server does not know this field; leave it out",
    **dict.fromkeys(("dict_type", "model_type"), f"{_BEGINNING}an object"),
}
"""What Pydantic says in words of Python's."""
_PARTS = ("body", "path", "query", "header")
"""What of a request FastAPI names first, where it is that which finds the fault."""


def told(error: RequestValidationError) -> tuple[str, str | None]:
    """All faults in one text, and the place of the first."""
    faults: dict[str, list[str]] = {}
    for each in error.errors():
        faults.setdefault(_place(each, error.body), []).append(_text(each))
    shown = [_sentence(place, texts) for place, texts in [*faults.items()][:_SHOWN]]
    if len(faults) > _SHOWN:
        shown.append(f"and {len(faults) - _SHOWN} more")
    return "; ".join(shown), next(iter(faults)) or None


def _sentence(place: str, texts: Sequence[str]) -> str:
    """The faults of one place; those of a value that might be of several sorts are as many."""
    first, *others = texts
    text = " or ".join([first, *(each.removeprefix(_BEGINNING) for each in others)])
    return f"{place}: {text}" if place else text


def _text(fault: Mapping[str, Any]) -> str:
    return _TEXTS.get(fault["type"]) or str(fault["msg"])


def _place(fault: Mapping[str, Any], body: Any) -> str:
    steps: Sequence[int | str] = fault["loc"]
    if body is None or isinstance(body, BaseModel):
        return ".".join(map(str, steps[1:] if steps[:1] and steps[0] in _PARTS else steps))
    found: list[str] = []
    for number, step in enumerate(steps):
        there, body = _step(body, step)
        # Steps that lead nowhere name one of the sorts that a value might be of.
        if there or (fault["type"] == "missing" and number == len(steps) - 1):
            found.append(str(step))
    return ".".join(found)


def _step(value: Any, step: int | str) -> tuple[bool, Any]:
    """Whether a step leads further into a value, and where to."""
    if isinstance(value, dict) and step in value:
        return True, cast("dict[Any, Any]", value)[step]
    if isinstance(value, list) and isinstance(step, int):
        return True, cast("list[Any]", value)[step]
    return False, value

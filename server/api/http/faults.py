"""Faults: what is wrong with a body, each told with its place there."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

_SHOWN = 3
_LOOKED_AT = 32
"""Faults whose places are found: a body may have thousands."""
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
    found = error.errors()
    faults: dict[str, list[str]] = {}
    for each in found[:_LOOKED_AT]:
        faults.setdefault(_place(each, error.body), []).append(_text(each))
    shown = [_sentence(place, texts) for place, texts in [*faults.items()][:_SHOWN]]
    more = len(faults) - len(shown) + len(found[_LOOKED_AT:])
    if more:
        shown.append(f"and {more} more")
    return "; ".join(shown), next(iter(faults)) or None


def _sentence(place: str, texts: Sequence[str]) -> str:
    """The faults of one place; those of a value that might be of several sorts are as many."""
    first, *others = dict.fromkeys(texts)
    text = " or ".join([first, *(each.removeprefix(_BEGINNING) for each in others)])
    return f"{place}: {text}" if place else text


def _text(fault: Mapping[str, Any]) -> str:
    return _TEXTS.get(fault["type"]) or str(fault["msg"])


def _place(fault: Mapping[str, Any], body: Any) -> str:
    steps: Sequence[int | str] = fault["loc"]
    if body is None or isinstance(body, BaseModel):
        return ".".join(map(str, steps[1:] if steps[:1] and steps[0] in _PARTS else steps))
    there, found = _trail(fault, body, past_tags=False)
    if not there:
        there, past = _trail(fault, body, past_tags=True)
        found = past if there else found
    return ".".join(found)


def _trail(fault: Mapping[str, Any], value: Any, *, past_tags: bool) -> tuple[bool, list[str]]:
    """The steps that lead further into a value, and whether the last one does.

    Those that do not name one of the sorts that a value might be of, as does a tag, which may be a
    key there too: {"type": "text", "text": ...}. `past_tags` takes no such step.
    """
    steps: Sequence[int | str] = fault["loc"]
    there, found = False, list[str]()
    for step in steps:
        there = False
        if not (past_tags and _is_tag(value, step)):
            there, value = _step(value, step)
        if there:
            found.append(str(step))
    if not there and fault["type"] == "missing":
        return True, [*found, str(steps[-1])]
    return there, found


def _is_tag(value: Any, step: int | str) -> bool:
    return isinstance(value, dict) and step in cast("dict[Any, Any]", value).values()


def _step(value: Any, step: int | str) -> tuple[bool, Any]:
    """Whether a step leads further into a value, and where to."""
    if isinstance(value, dict) and step in value:
        return True, cast("dict[Any, Any]", value)[step]
    if isinstance(value, list) and isinstance(step, int):
        return True, cast("list[Any]", value)[step]
    return False, value

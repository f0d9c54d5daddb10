"""A reader of structural tags that tries every way; it shares nothing with the grammars."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

END = None
"""Where nothing comes behind a format; else it is followed by some ends, or by anything: ()."""
Ends = Sequence[str] | None


def accepts(tag: Mapping[str, Any], text: str) -> bool:
    """Whether a text is what a structural tag asks for."""
    return len(text) in _ends(tag["format"], text, 0, END)


def _ends(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> set[int]:
    """Where a format that begins at a place may end, with what is behind it if that ends it."""
    return set(_READERS[form["type"]](form, text, at, behind))


def _any_text(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    return _free(form.get("excludes", []), [], text, at, behind)


def _sequence(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    places = {at}
    for each in form["elements"][:-1]:
        places = {end for place in places for end in _ends(each, text, place, ())}
    for place in places:
        yield from _ends(form["elements"][-1], text, place, behind)


def _or(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    for each in form["elements"]:
        yield from _ends(each, text, at, behind)


def _const(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    if text.startswith(form["value"], at):
        yield from _ended(text, at + len(form["value"]), behind)


def _regex(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    for end in range(at, len(text) + 1):
        if re.fullmatch(form["pattern"], text[at:end]):
            yield from _ended(text, end, behind)


def _times(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    counts = {"optional": (0, 1), "star": (0, 99), "plus": (1, 99)}
    least, most = counts.get(form["type"]) or (form["min"], form["max"])
    places = {at}
    for count in range(most + 1):
        if count >= least:
            for place in places:
                yield from _ended(text, place, behind)
        places = {end for each in places for end in _ends(form["content"], text, each, ())}


def _json(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        return
    # Whatever is written in strings, there is one space behind commas and colons and no other.
    marks = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text[at:end])
    spaced = not re.search(r"[\n\t]|(?<![,:]) |[,:](?! )", marks)
    if spaced and Draft202012Validator(form["json_schema"]).is_valid(value):
        yield from _ended(text, end, behind)


def _separated(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    separator, places = form["separator"], _any_tag(form, text, at)
    found = places | (set() if form.get("at_least_one") else {at})
    while places and not form.get("stop_after_first"):
        next_to = {each + len(separator) for each in places if text.startswith(separator, each)}
        places = {end for each in next_to for end in _any_tag(form, text, each)} - found
        found |= places
    for place in found:
        yield from _ended(text, place, behind)


def _any_tag(form: Mapping[str, Any], text: str, at: int) -> set[int]:
    return {end for tag in form["tags"] for end in _tag(tag, text, at, ())}


def _tag(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    if not text.startswith(form["begin"], at):
        return
    inside = at + len(form["begin"])
    end = form["end"]
    ends = [end] if isinstance(end, str) else end
    if "" in ends:
        yield from _ends(form["content"], text, inside, behind)
        return
    for place in _ends(form["content"], text, inside, ends):
        yield from _ended(text, place, behind)


def _triggered(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> Iterator[int]:
    once, places = form.get("stop_after_first"), {at}
    if form.get("at_least_one"):
        places = _any_tag(form, text, at)
        if once:
            for place in places:
                yield from _ended(text, place, behind)
            return
    while places:
        for place in places:
            yield from _free(form.get("excludes", []), form["triggers"], text, place, behind)
        begun = (_begun(form, text, place, behind) for place in places)
        places = {
            end for begin in begun if begin is not None for end in _any_tag(form, text, begin)
        }
        if once:
            for place in places:
                yield from _ended(text, place, behind)
            return


def _begun(form: Mapping[str, Any], text: str, at: int, behind: Ends) -> int | None:
    """Where the first trigger behind a place begins, unless an end comes before it."""
    for end in range(at, len(text) + 1):
        for stop in [*form["triggers"], *(behind or [])]:
            if text[at:end].endswith(stop):
                begin = end - len(stop)
                clean = not any(each in text[at:begin] for each in form.get("excludes", []))
                return begin if clean and stop in form["triggers"] else None
    return None


def _free(
    excludes: Sequence[str], triggers: Sequence[str], text: str, at: int, behind: Ends
) -> Iterator[int]:
    if behind is END:
        if not any(each in text[at:] for each in [*excludes, *triggers]):
            yield len(text)
        return
    for end in range(at, len(text) + 1):
        done = [each for each in [*behind, *triggers] if text[at:end].endswith(each)]
        if done:
            free = text[at : end - len(done[0])]
            if done[0] in behind and not any(each in free for each in excludes):
                yield end
            return


def _ended(text: str, at: int, behind: Ends) -> Iterator[int]:
    if not behind:
        yield at
        return
    yield from (at + len(each) for each in behind if text.startswith(each, at))


_READERS: dict[str, Callable[[Mapping[str, Any], str, int, Ends], Iterator[int]]] = {
    "any_text": _any_text,
    "sequence": _sequence,
    "or": _or,
    "const_string": _const,
    "regex": _regex,
    "json_schema": _json,
    "optional": _times,
    "star": _times,
    "plus": _times,
    "repeat": _times,
    "tag": _tag,
    "triggered_tags": _triggered,
    "tags_with_separator": _separated,
}

"""Structural tags: texts that are free in places and keep to schemas in others.

They are JSON as vLLM and xgrammar have it: `{"type": "structural_tag", "format": …}`, or older with
`structures` and `triggers` (https://xgrammar.mlc.ai/docs/tutorials/structural_tag.html). What comes
of one is a list of grammars like a reply's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from server.engine.lark import Lark, Right, pattern, quoted
from server.engine.tag_format import Format, NotTaken

_TYPE = "structural_tag"
_TAG = ("begin", "content", "end")


@dataclass(frozen=True, slots=True)
class _Place:
    """What comes behind a format: one of some `ends`, which it takes in; or nothing, if `last`.

    Else there is more behind it, and it must tell itself where it ends.
    """

    ends: tuple[str, ...] = ()
    last: bool = False


_WITHIN = _Place()


def parts_of(source: str, name: str) -> list[dict[str, Any]]:
    """The grammars of a structural tag, the whole one first, which is called `name`.

    Raises ValueError, saying why, for what is none and for what cannot be enforced.
    """
    asked = Format(json.loads(source), ("format", "structures", "triggers"))
    if asked.get("type") not in (_TYPE, None):
        raise NotTaken(f'its type must be "{_TYPE}"')
    older = asked.get("structures") is not None
    return _Writer(name).parts(_of_older(asked) if older else asked.get("format"))


def _of_older(asked: Format) -> Mapping[str, Any]:
    tags: list[Any] = []
    for each in asked.objects("structures"):
        structure = Format(each, ("begin", "schema", "end"))
        content = {"type": "json_schema", "json_schema": structure.get("schema") or {}}
        tags.append(
            {"begin": structure.get("begin"), "content": content, "end": structure.get("end")}
        )
    return {"type": "triggered_tags", "triggers": asked.get("triggers"), "tags": tags}


class _Writer:
    """Writes one structural tag down, and lists the grammars that it refers to."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lark = Lark()
        self._others: list[dict[str, Any]] = []

    def parts(self, value: Any) -> list[dict[str, Any]]:
        lark = self._lark.written(self.right(value, _Place(last=True)))
        return [{"name": self._name, "lark_grammar": lark}, *self._others]

    def right(self, value: Any, place: _Place) -> Right:
        """What a format allows, with the end that its place has."""
        kind: Any = value.get("type") if isinstance(value, Mapping) else None
        taken = _TAKEN.get(kind) if isinstance(kind, str) else None
        if taken is None:
            known = ", ".join(_TAKEN)
            raise NotTaken(f"the format {json.dumps(kind)} is not supported; these are: {known}")
        return taken.write(self, Format(value, taken.fields), place)

    def const_string(self, asked: Format, place: _Place) -> Right:
        return self._ended(quoted(asked.text("value")), place)

    def regex(self, asked: Format, place: _Place) -> Right:
        return self._ended(pattern(asked.text("pattern")), place)

    def grammar(self, asked: Format, place: _Place) -> Right:
        return self._ended(self._other("grammar", asked.text("grammar")), place)

    def json_schema(self, asked: Format, place: _Place) -> Right:
        style, schema = asked.get("style"), asked.get("json_schema")
        if style not in (None, "json"):
            raise NotTaken(f"the style {json.dumps(style)} of a json_schema is not supported")
        source = json.dumps({} if schema is None else schema)
        return self._ended(self._other("json_schema", source), place)

    def any_text(self, asked: Format, place: _Place) -> Right:
        return self._free((), place, asked.excluded())

    def sequence(self, asked: Format, place: _Place) -> Right:
        *before, last = asked.objects("elements")
        rights = [self.right(each, _WITHIN) for each in before]
        return self._lark.joined([*rights, self.right(last, place)])

    def one_of(self, asked: Format, place: _Place) -> Right:
        return self._lark.either([self.right(each, place) for each in asked.objects("elements")])

    def repeat(self, asked: Format, place: _Place) -> Right:
        return self._times(asked, asked.count("min"), asked.count("max"), place)

    def optional(self, asked: Format, place: _Place) -> Right:
        return self._times(asked, 0, 1, place)

    def star(self, asked: Format, place: _Place) -> Right:
        return self._times(asked, 0, -1, place)

    def plus(self, asked: Format, place: _Place) -> Right:
        return self._times(asked, 1, -1, place)

    def tag(self, asked: Format, place: _Place) -> Right:
        begin = quoted(asked.text("begin"))
        return self._lark.joined([begin, self._behind_begin(asked, place)])

    def triggered_tags(self, asked: Format, place: _Place) -> Right:
        lark, triggers = self._lark, asked.marks("triggers")
        excluded, one = asked.excluded(), asked.flag("stop_after_first")
        # Twice with `at_least_one`: nested, each level would be as long as two of the next.
        tags = [
            (each.text("begin"), lark.once(self._behind_begin(each, _WITHIN)))
            for each in self._tags(asked)
        ]
        triggered = self._triggered(tags, triggers, (*triggers, *place.ends), excluded)
        whole = [lark.joined([quoted(begin), rest]) for begin, rest in tags]
        first = lark.either(whole) if asked.flag("at_least_one") else None
        if first and one:
            return self._ended(first, place)
        without = self._free(triggers, place, excluded)
        if one:
            return lark.either([self._ended(triggered, place), without])
        rights = [lark.repeated(triggered, 0, -1), without]
        return lark.joined([first, *rights] if first else rights)

    def _triggered(
        self,
        tags: Sequence[tuple[str, Right]],
        triggers: Sequence[str],
        stops: Sequence[str],
        excluded: Sequence[str],
    ) -> Right:
        """One of some tags, a beginning and what is behind it each, and the text before it."""
        lark = self._lark
        behind: dict[str, list[Right]] = {}
        for begin, rest in tags:
            trigger = _trigger_of(begin, triggers)
            left = quoted(begin[len(trigger) :])
            behind.setdefault(trigger, []).append(lark.joined([left, rest]))
        return lark.either(
            [
                lark.joined([lark.up_to((trigger,), stops, excluded), lark.either(rests)])
                for trigger, rests in behind.items()
            ]
        )

    def tags_with_separator(self, asked: Format, place: _Place) -> Right:
        lark = self._lark
        one = lark.once(lark.either([self.tag(each, _WITHIN) for each in self._tags(asked)]))
        more = lark.joined([quoted(asked.text("separator")), one])
        many = lark.joined([one, lark.repeated(more, 0, -1)])
        whole = one if asked.flag("stop_after_first") else many
        return self._ended(
            whole if asked.flag("at_least_one") else lark.repeated(whole, 0, 1), place
        )

    def _tags(self, asked: Format) -> list[Format]:
        return [Format(each, _TAG) for each in asked.objects("tags")]

    def _behind_begin(self, asked: Format, place: _Place) -> Right:
        """A tag's content and its end."""
        ends, content = asked.texts("end"), asked.get("content")
        if "" in ends:
            return self.right(content, place)
        return self._ended(self.right(content, _Place(ends)), place)

    def _times(self, asked: Format, least: int, most: int, place: _Place) -> Right:
        content = self.right(asked.get("content"), _WITHIN)
        return self._ended(self._lark.repeated(content, least, most), place)

    def _free(self, triggers: Sequence[str], place: _Place, excluded: Sequence[str]) -> Right:
        """A text without a trigger, with the end that its place has."""
        if place.last:
            return self._lark.without((*triggers, *excluded))
        if not place.ends:
            raise NotTaken("a free text must be the last of its tag, or of all")
        stops = (*triggers, *place.ends)
        return self._lark.up_to(place.ends, stops, excluded)

    def _ended(self, right: Right, place: _Place) -> Right:
        if not place.ends:
            return right
        return self._lark.joined([right, self._lark.any_of(place.ends)])

    def _other(self, form: str, source: str) -> Right:
        name = f"{self._name}_{len(self._others)}"
        self._others.append({"name": name, "form": form, "source": source})
        return Right(f"@{name}", regular=False)


_Write: TypeAlias = Callable[[_Writer, Format, _Place], Right]


@dataclass(frozen=True, slots=True)
class _Taken:
    """How a type of format is written, and which fields it has."""

    write: _Write
    fields: tuple[str, ...]


_TAKEN = {
    "const_string": _Taken(_Writer.const_string, ("value",)),
    "json_schema": _Taken(_Writer.json_schema, ("json_schema", "style")),
    "regex": _Taken(_Writer.regex, ("pattern",)),
    "grammar": _Taken(_Writer.grammar, ("grammar",)),
    "any_text": _Taken(_Writer.any_text, ("excludes",)),
    "sequence": _Taken(_Writer.sequence, ("elements",)),
    "or": _Taken(_Writer.one_of, ("elements",)),
    "optional": _Taken(_Writer.optional, ("content",)),
    "star": _Taken(_Writer.star, ("content",)),
    "plus": _Taken(_Writer.plus, ("content",)),
    "repeat": _Taken(_Writer.repeat, ("min", "max", "content")),
    "tag": _Taken(_Writer.tag, _TAG),
    "triggered_tags": _Taken(
        _Writer.triggered_tags,
        ("triggers", "tags", "at_least_one", "stop_after_first", "excludes"),
    ),
    "tags_with_separator": _Taken(
        _Writer.tags_with_separator, ("tags", "separator", "at_least_one", "stop_after_first")
    ),
}


def _trigger_of(begin: str, triggers: Sequence[str]) -> str:
    owners = [each for each in triggers if begin.startswith(each)]
    if len(owners) != 1:
        raise NotTaken(f"{json.dumps(begin)} must begin with just one of the triggers")
    return owners[0]

"""How results show themselves: short in a terminal, as a table in a notebook, whole as a dict."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from typing import Any, cast

_CHARACTERS = 60  # of a text
_ITEMS = 4  # of a list or a dict


@dataclass(frozen=True, repr=False)
class Result:
    """The root of all results.

    Fields that are not compared are the client's own: neither shown nor part of what was answered.
    """

    def model_dump(self) -> dict[str, Any]:
        """Return what was answered as plain dicts, lists and values."""
        return {name: _plain(value) for name, value in self._shown()}

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """Return what was answered as JSON."""
        return json.dumps(self.model_dump(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        shown = (f"{name}={short(value)}" for name, value in self._told())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        return table(self._rows())

    def _rows(self) -> Sequence[tuple[str, object]]:
        """The rows of the table that stands for this in a notebook."""
        return [*self._told()]

    def _told(self) -> Iterator[tuple[str, object]]:
        """What a reader is shown: fields that hold something."""
        return ((name, value) for name, value in self._shown() if value is not None)

    def _shown(self) -> Iterator[tuple[str, Any]]:
        return ((each.name, getattr(self, each.name)) for each in fields(self) if each.compare)


@dataclass(frozen=True, repr=False)
class Answer(Result):
    """A result that came by itself; `request_id` is the name that the server's log has for it."""

    request_id: str | None = field(default=None, compare=False, kw_only=True)


def _plain(value: object) -> Any:
    if isinstance(value, Result):
        return value.model_dump()
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def short(value: object) -> str:
    """Write a value on one line, with what is long cut and counted."""
    if isinstance(value, str):
        left = len(value) - _CHARACTERS
        return repr(value) if left <= 0 else f"{value[:_CHARACTERS]!r}… +{left}"
    if isinstance(value, list):
        items = cast("list[object]", value)
        return f"[{_cut([short(item) for item in items[:_ITEMS]], len(items))}]"
    if isinstance(value, dict):
        entries = cast("dict[object, object]", value)
        first = [f"{key!r}: {short(entries[key])}" for key in list(entries)[:_ITEMS]]
        return f"{{{_cut(first, len(entries))}}}"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Write rows of a name and a value as HTML."""
    lines = (f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in rows)
    return f'<table style="text-align: left">{"".join(lines)}</table>'


def _cell(value: object) -> str:
    # Texts in full, with their lines: they are what a reader wants.
    text = value if isinstance(value, str) else short(value)
    return f'<span style="white-space: pre-wrap">{escape(text)}</span>'


def _cut(items: list[str], count: int) -> str:
    left = count - len(items)
    return ", ".join([*items, f"… +{left}"] if left else items)

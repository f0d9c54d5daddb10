"""Formats: the JSON objects that a structural tag is composed of, read with care."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

_MOST = 1000
"""Times that something may be repeated: each is written down."""


class NotTaken(ValueError):
    """What is no structural tag, or cannot be enforced."""


class Format:
    """One object with some fields; raises NotTaken for those that it should not have.

    A field that says nothing, such as an option that is off, may always be there.
    """

    def __init__(self, value: Any, known: Iterable[str]) -> None:
        if not isinstance(value, Mapping):
            raise NotTaken(f"{_shown(value)} is no object")
        self._fields: Mapping[str, Any] = value
        known = {*known, "type"}
        for name, each in self._fields.items():
            says_nothing = each is None or each is False or each in ([], {})
            if name not in known and not says_nothing:
                kind = value.get("type", "tag")
                raise NotTaken(f"the field {_shown(name)} of {_shown(kind)} is not supported")

    def get(self, name: str) -> Any:
        """A field, None where it is not there."""
        return self._fields.get(name)

    def text(self, name: str) -> str:
        """A field that is a text."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise NotTaken(f"{name} must be a text, not {_shown(value)}")
        return value

    def objects(self, name: str) -> list[Any]:
        """A field that lists something."""
        value = self._fields.get(name)
        if not isinstance(value, list) or not value:
            raise NotTaken(f"{name} must be a list that is not empty")
        return [*value]

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that lists texts, or has one alone."""
        value = self._fields.get(name)
        texts = [value] if isinstance(value, str) else self.objects(name)
        if not all(isinstance(each, str) for each in texts):
            raise NotTaken(f"{name} must be texts")
        return tuple(texts)

    def marks(self, name: str) -> tuple[str, ...]:
        """A field that lists texts of which none is empty."""
        texts = self.texts(name)
        if "" in texts:
            raise NotTaken(f"{name} must be texts that are not empty")
        return texts

    def excluded(self) -> tuple[str, ...]:
        """What a free text must not have in it."""
        return self.marks("excludes") if self.get("excludes") else ()

    def flag(self, name: str) -> bool:
        """A field that is true or false; false where it is not there."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise NotTaken(f"{name} must be true or false, not {_shown(value)}")
        return bool(value)

    def count(self, name: str) -> int:
        """A field that is a number of times; -1 is any number."""
        value = self._fields.get(name)
        # JSON's true is an integer to Python.
        if type(value) is not int or not -1 <= value <= _MOST:
            raise NotTaken(f"{name} must be a number up to {_MOST}, not {_shown(value)}")
        return value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]

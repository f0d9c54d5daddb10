"""The fields of a configuration: each is read by someone, or the load is refused."""

from collections.abc import Mapping
from enum import Enum
from typing import Never, TypeVar

from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.strict_json import Json

DIMENSIONS = "matryoshka_dimensions"
"""Names a task's shorter embeddings, as in vLLM."""

Choice = TypeVar("Choice", bound=Enum)


class Fields:
    """A JSON object whose fields are taken one by one.

    A field counts as unset if it is absent, null, false, zero or empty. Every reader raises
    InvalidDelta for a value of another type. `finish` raises for what is set and nobody took.
    """

    def __init__(self, values: Mapping[str, Json], name: str) -> None:
        self.name = name
        self._left = dict(values)

    def text(self, field: str, default: str | None = None) -> str:
        """Take a text."""
        value = self._take(field, default)
        return value if isinstance(value, str) else self._refuse(field, "a text")

    def whole(self, field: str, default: int | None = None) -> int:
        """Take a whole number."""
        value = self._take(field, default)
        if isinstance(value, bool) or not isinstance(value, int):
            return self._refuse(field, "a whole number")
        return value

    def number(self, field: str, default: float | None = None) -> float:
        """Take a number."""
        value = self._take(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._refuse(field, "a number")
        try:
            return float(value)
        except OverflowError:
            return self._refuse(field, "a number of usual size")

    def flag(self, field: str) -> bool:
        """Take a truth value, false unless set."""
        value = self._take(field, False)
        return value if isinstance(value, bool) else self._refuse(field, "true or false")

    def texts(self, field: str) -> tuple[str, ...]:
        """Take a list of texts, empty unless set."""
        value = self._take(field, [])
        if not isinstance(value, list):
            return self._refuse(field, "a list of texts")
        texts = tuple(item for item in value if isinstance(item, str))
        return texts if len(texts) == len(value) else self._refuse(field, "a list of texts")

    def wholes(self, field: str) -> tuple[int, ...]:
        """Take a list of whole numbers, empty unless set."""
        value = self._take(field, [])
        if not isinstance(value, list):
            return self._refuse(field, "a list of whole numbers")
        found = (item for item in value if isinstance(item, int) and not isinstance(item, bool))
        wholes = tuple(found)
        refused = len(wholes) < len(value)
        return self._refuse(field, "a list of whole numbers") if refused else wholes

    def choice(self, field: str, choices: type[Choice], default: Choice | None = None) -> Choice:
        """Take a text that is one of an enumeration's values."""
        value = self._take(field, default.value if default else None)
        for choice in choices:
            if choice.value == value:
                return choice
        return self._refuse(field, f"one of {', '.join(str(choice.value) for choice in choices)}")

    def option(self, field: str, choices: type[Choice]) -> Choice | None:
        """Take a text that is one of an enumeration's values, None unless set."""
        return self.choice(field, choices) if self._left.get(field) is not None else None

    def table(self, field: str) -> "Fields":
        """Take an object, empty unless set."""
        value = self._take(field, {})
        return Fields(value if isinstance(value, dict) else self._refuse(field, "an object"), field)

    def raw(self, field: str) -> Json:
        """Take a value of any type, null unless set."""
        return self._take(field, None)

    def names(self) -> tuple[str, ...]:
        """The fields that nobody has taken yet, in order."""
        return tuple(self._left)

    def ignore(self, *fields: str) -> None:
        """Take fields that do not change what a delta computes."""
        for field in fields:
            self._left.pop(field, None)

    def forbid(self, field: str, reason: str) -> None:
        """Take a field that must be unset; raises UnsupportedDelta with the reason otherwise."""
        if self._left.pop(field, None):
            raise UnsupportedDelta(f"{self.name} sets '{field}': {reason}")

    def finish(self) -> None:
        """Raise UnsupportedDelta if a field that is set was not taken."""
        if unread := sorted(field for field, value in self._left.items() if value):
            raise UnsupportedDelta(
                f"{self.name} sets fields that are not understood: {', '.join(unread[:5])}."
            )

    def _take(self, field: str, default: Json) -> Json:
        value = self._left.pop(field, None)
        return default if value is None else value

    def _refuse(self, field: str, wanted: str) -> Never:
        raise InvalidDelta(f"'{field}' in {self.name} must be {wanted}.")

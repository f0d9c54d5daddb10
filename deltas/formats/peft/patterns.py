"""Regular expressions from strangers, matched under one time budget."""

from time import monotonic

import regex

from deltas.errors import InvalidDelta

MAX_LENGTH = 2048


class Patterns:
    """Matches regular expressions for at most `seconds` in all.

    Python's own `re` cannot be interrupted, and a hostile expression takes longer than the
    universe; `regex` can. Raises InvalidDelta for an expression that is unsound or too slow.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self._end = monotonic() + seconds

    def fullmatch(self, pattern: str, text: str) -> bool:
        """Whether an expression matches a whole text."""
        return self.match(rf"(?:{pattern})\Z", text) is not None

    def match(self, pattern: str, text: str) -> regex.Match[str] | None:
        """Match an expression from a text's start."""
        if len(pattern) > MAX_LENGTH:
            raise InvalidDelta(f"A pattern is longer than {MAX_LENGTH} characters.")
        try:
            return regex.match(pattern, text, timeout=max(self._end - monotonic(), 1e-6))
        except TimeoutError as error:
            raise InvalidDelta(f"The pattern {pattern[:64]!r} takes too long.") from error
        except regex.error as error:
            raise InvalidDelta(f"{pattern[:64]!r} is no regular expression.") from error

"""Regular expressions from strangers, compiled within bounds and matched under one time budget."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from time import thread_time

import regex

from deltas.errors import InvalidDelta

MAX_LENGTH = 2048
MAX_DEPTH = 32
MAX_EXPANSION = 20_000
"""The greatest number of items that an expression may become when it is compiled."""

# Python's own syntax, less what changes how the rest is read: comments and the flag x.
_ITEM = re.compile(
    r"""
    (?P<open> \( (?: \?[aimsu]*(?:-[ims]+)?: | \?P<\w+> | \?<?[=!] | \?> )? (?!\?) )
  | (?P<close> \) )
  | (?P<repeat> (?: (?P<few>[*+?]) | \{ (?=[\d,]*\d) (?P<least>\d{0,4}) (?:,\d{0,4})? \} ) [?+]? )
  | \(\?[aimsu]+\) | \(\?P=\w+\)       # flags, what a group matched
  | \\.                                # an escape
  | \[\^?+ (?: \\. | [^\[\]\\] )+ \]   # a set
  | [^\\\[\](){}*+?]                   # a character
    """,
    re.VERBOSE | re.DOTALL,
)


class Patterns:
    """Matches regular expressions for at most `seconds` of this thread's time in all.

    Python's own `re` cannot be interrupted, and a hostile expression takes longer than the
    universe; `regex` can, and lets other threads run meanwhile, but not while it compiles, which
    writes repetitions out. Raises InvalidDelta for an expression that is unsound, too large or too
    slow.
    """

    def __init__(self, seconds: float = 3.0) -> None:
        self._left = seconds
        self._compiled: dict[str, regex.Pattern[str]] = {}

    def fullmatch(self, pattern: str, text: str) -> bool:
        """Whether an expression matches a whole text."""
        with self._timed(pattern):
            compiled = self._compile(pattern)
            return compiled.fullmatch(text, timeout=self._left, concurrent=True) is not None

    def match(self, pattern: str, text: str) -> regex.Match[str] | None:
        """Match an expression from a text's start."""
        with self._timed(pattern):
            return self._compile(pattern).match(text, timeout=self._left, concurrent=True)

    @contextmanager
    def _timed(self, pattern: str) -> Generator[None]:
        start = thread_time()
        # To `regex`, less than nothing is no limit.
        self._left = max(self._left, 1e-6)
        try:
            yield
        except TimeoutError as error:
            raise _too_slow(pattern) from error
        finally:
            self._left -= thread_time() - start
        if self._left <= 0:
            raise _too_slow(pattern)

    def _compile(self, pattern: str) -> regex.Pattern[str]:
        if pattern not in self._compiled:
            self._compiled[pattern] = _compiled(pattern)
        return self._compiled[pattern]


def _compiled(pattern: str) -> regex.Pattern[str]:
    if len(pattern) > MAX_LENGTH:
        raise InvalidDelta(f"A pattern is longer than {MAX_LENGTH} characters.")
    if _expansion(pattern) > MAX_EXPANSION:
        raise InvalidDelta(f"The pattern {pattern[:64]!r} repeats too much.")
    try:
        return regex.compile(pattern, cache_pattern=False)
    except (regex.error, RecursionError, MemoryError, OverflowError) as error:
        raise _unsound(pattern) from error


def _expansion(pattern: str) -> int:
    """The number of items in an expression with its repetitions written out."""
    # For each group that is open: the items in it, and how many of them the last one makes.
    groups, last = [0], 0
    place = 0
    while place < len(pattern):
        item = _ITEM.match(pattern, place)
        if item is None:
            raise _unsound(pattern)
        place = item.end()
        if item["open"]:
            groups.append(0)
            last = 0
        elif item["repeat"]:
            copies = 2 if item["few"] == "+" else 1 + int(item["least"] or 0)
            groups[-1] += last * (copies - 1)
            last *= copies
        else:
            last = 1 + (groups.pop() if item["close"] else 0)
            if not groups:
                raise _unsound(pattern)
            groups[-1] += last
        if len(groups) > MAX_DEPTH:
            raise InvalidDelta(f"The pattern {pattern[:64]!r} is nested too deeply.")
    return sum(groups)


def _too_slow(pattern: str) -> InvalidDelta:
    return InvalidDelta(f"The pattern {pattern[:64]!r} takes too long.")


def _unsound(pattern: str) -> InvalidDelta:
    return InvalidDelta(f"{pattern[:64]!r} is no regular expression for module names.")

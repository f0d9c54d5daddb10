"""Grammars in llguidance's dialect of Lark, written rule by rule (its docs/syntax.md).

What is regular side by side becomes one terminal: there a terminal takes all that it can, whatever
comes behind it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_TEXT = 1 << 20
"""Characters of a grammar that is written down."""
ANY = r"/(.|\n)*/"
"""Any text."""
_SOME = r"/(.|\n)+/"


@dataclass(frozen=True, slots=True)
class Right:
    """The right side of a rule, or of a terminal if it is `regular`; "" writes nothing."""

    text: str
    regular: bool = True


class Lark:
    """Lines of one grammar, each of which has a name.

    Its methods raise ValueError once there is more than `MAX_TEXT` of them.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._length = 0
        self._any_of: dict[tuple[str, ...], Right] = {}

    def written(self, start: Right) -> str:
        """The grammar of what `start` allows."""
        first = self.named(start)
        return "\n".join(("%llguidance {}", f"start: {first}", *self._lines))

    def joined(self, rights: Iterable[Right]) -> Right:
        """One behind another."""
        rights = [each for each in rights if each.text]
        if all(each.regular for each in rights):
            return Right(" ".join(each.text for each in rights))
        texts: list[str] = []
        run: list[Right] = []
        for each in rights:
            if each.regular:
                run.append(each)
            else:
                texts += [*self._run(run), each.text]
                run = []
        return Right(" ".join([*texts, *self._run(run)]), regular=False)

    def either(self, rights: Sequence[Right]) -> Right:
        """Any one of some."""
        if all(each.regular for each in rights):
            return Right(f"({' | '.join(each.text or _EMPTY for each in rights)})")
        return Right(f"({' | '.join(map(self.named, rights))})", regular=False)

    def repeated(self, right: Right, least: int, most: int) -> Right:
        """One so many times, without a bound if `most` is below 0."""
        bound = "" if most < 0 else most
        return Right(f"({right.text or _EMPTY}){{{least},{bound}}}", right.regular)

    def any_of(self, texts: Sequence[str]) -> Right:
        """One of some texts, which are written down once."""
        key = tuple(texts)
        if key not in self._any_of:
            self._any_of[key] = self.once(self.either([quoted(each) for each in key]))
        return self._any_of[key]

    def once(self, right: Right) -> Right:
        """The same, written down once, wherever it is used."""
        return Right(self.named(right), right.regular) if right.text else right

    def up_to(
        self, marks: Sequence[str], stops: Sequence[str], excluded: Sequence[str] = ()
    ) -> Right:
        """A text that ends with one of the marks, and in which no stop ends before that."""
        ending = self._terminal(f"{self.without(excluded).text} {self.any_of(marks).text}")
        longer = self._terminal(f"{ANY} {self.any_of(stops).text} {_SOME}")
        return Right(self._terminal(f"{ending} & ~{longer}"))

    def without(self, texts: Sequence[str]) -> Right:
        """A text in which none of these is."""
        if not texts:
            return Right(ANY)
        having = self._terminal(f"{ANY} {self.any_of(texts).text} {ANY}")
        return Right(self._terminal(f"{ANY} & ~{having}"))

    def named(self, right: Right) -> str:
        """The name under which what a right side allows can be used."""
        if right.regular and right.text:
            return self._terminal(right.text)
        return self._line("r", right.text)

    def _run(self, run: Sequence[Right]) -> list[str]:
        return [self._terminal(" ".join(each.text for each in run))] if run else []

    def _terminal(self, text: str) -> str:
        return self._line("T", text)

    def _line(self, kind: str, text: str) -> str:
        name = f"{kind}{len(self._lines)}"
        self._lines.append(f"{name}: {text}")
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise ValueError(f"written out, it has more than {MAX_TEXT} characters; give it less")
        return name


_EMPTY = '""'


def quoted(text: str) -> Right:
    """A text as it is."""
    return Right(json.dumps(text, ensure_ascii=False) if text else "")


def pattern(source: str) -> Right:
    """What a regular expression allows."""
    escaped = re.sub(r"(\\.)|/", lambda found: found[1] or r"\/", source, flags=re.DOTALL)
    return Right("/" + escaped.replace("\n", r"\n") + "/" if source else "")

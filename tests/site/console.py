"""Sessions at a terminal, as pages show them, held to what commands print."""

import re
from dataclasses import dataclass

TOLERANCE = 0.02
"""Scores vary a little with the instruction set."""
_ID = re.compile(r"infer-[0-9a-f]+…?")
_NUMBER = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Step:
    """A command, and what stands below it."""

    command: str
    shown: list[str]


def steps(text: str) -> list[Step]:
    """The steps of a session; a command's lines end in backslashes."""
    found: list[Step] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append(Step(line.removeprefix("$ "), []))
        else:
            found[-1].shown.append(line)
    return found


def alike(printed: str, shown: list[str]) -> bool:
    """Whether lines say the same, but for ids, the width of gaps and the last digits of scores."""
    lines = printed.strip().splitlines() if shown else []
    return len(lines) == len(shown) and all(map(_alike_line, lines, shown))


def _alike_line(printed: str, shown: str) -> bool:
    """An ellipsis stands for the rest of the line."""
    said, wanted = _plain(printed), _plain(shown)
    words = [re.escape(piece).replace("…", ".*") for piece in _NUMBER.split(wanted)]
    found = re.fullmatch(r"(\d+\.\d+)".join(words), said)
    if found is None:
        return False
    numbers = zip(found.groups(), _NUMBER.findall(wanted), strict=True)
    return all(abs(float(one) - float(other)) < TOLERANCE for one, other in numbers)


def _plain(line: str) -> str:
    return " ".join(_ID.sub("ID", line).split())

"""The blocks of code in pages: what language they are of, and why some are not run."""

import re
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"bash", "console", "json", "python", "text"}
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why it is not run, if it is not."""

    language: str
    text: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    """A page's blocks in order."""
    found = _BLOCK.finditer(page.read_text())
    return [Block(each["language"], each["text"], each["reason"]) for each in found]

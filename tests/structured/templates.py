"""Calls as real chat templates write them: `python -m tests.structured.templates WHEEL` of TRL's.

TRL (Apache-2.0) brings the templates of some thirty families. Where one has a form of its own, what
it writes of calls must be what its grammar lets pass, and be read as these calls.
"""

import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from random import Random
from zipfile import ZipFile

from server.engine.call_form import may_have_form
from server.engine.message import Message, ToolCall
from tests.server.engine.call_templates import tokenizer_of
from tests.server.engine.test_call_forms import TOOLS, calls, read, takes, template_of, written

_SAID = "said before"


def templates(wheel: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of those that may write calls, without TRL's own changes for training."""
    with ZipFile(wheel) as files:
        for name in sorted(files.namelist()):
            path = PurePath(name)
            if path.suffix == ".jinja" and not path.stem.endswith("_training"):
                text = files.read(name).decode()
                if may_have_form(text):
                    yield path.stem, text


def judged(name: str, text: str) -> str:
    """What becomes of a template's calls: `own`, `usual` or `wrong`."""
    tokenizer, draw = tokenizer_of(text, special=False), Random(name)
    template = template_of(tokenizer)
    form = template.reply("", TOOLS)
    if template.form is None or form is None:
        return "usual"

    def turn(made: list[ToolCall]) -> str:
        over = written(tokenizer, Message("assistant", _SAID)).rpartition(_SAID)[2]
        whole = written(tokenizer, Message("assistant", "", tool_calls=tuple(made)))
        said = whole.removeprefix(written(tokenizer, opens=True)).removesuffix(over)
        return said.removeprefix("<think>\n\n</think>\n\n").lstrip()

    for count in (1, 2, 3) if template.form.separator else (1,):
        made = calls(draw, count)
        told = [(each.name, each.arguments) for each in made]
        if not takes(tokenizer, form, turn(made)) or read(form, turn(made), draw) != ("", told):
            return "wrong"
    return "own"


def main() -> int:
    found = {name: judged(name, text) for name, text in templates(Path(sys.argv[1]))}
    sys.stdout.write("".join(f"{each:6} {name}\n" for name, each in found.items()))
    return int("wrong" in found.values() or "own" not in found.values())


if __name__ == "__main__":
    sys.exit(main())

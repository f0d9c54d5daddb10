"""Calls as real chat templates write them: `python -m tests.structured.templates ARCHIVE…`.

TRL's wheel (Apache-2.0) and the sources of llama-cpp-python (MIT) bring the templates of some sixty
models. Where one has a form of its own, what it writes of calls must be what its grammar lets pass,
and be read as these calls.
"""

import fnmatch
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from random import Random
from zipfile import ZipFile

from server.engine.call_form import may_have_form
from server.engine.message import Message, ToolCall
from tests.server.engine.call_templates import tokenizer_of
from tests.server.engine.test_call_forms import (
    TOOLS,
    VALUES,
    calls,
    read,
    takes,
    template_of,
    written,
)

_SAID = "said before"
_PATTERN = "*/*.jinja"
_ASCII = [each for each in VALUES if json.dumps(each, ensure_ascii=False).isascii()]
"""Grammars let characters be written as they are alone, which some templates escape."""


def templates(archive: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of those that may write calls, without TRL's own changes for training."""
    for name, data in files(archive):
        path, text = PurePath(name), data.decode()
        if not path.stem.endswith("_training") and may_have_form(text):
            yield path.stem, text


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The templates of a wheel or of a package's sources."""
    if archive.suffix == ".whl":
        with ZipFile(archive) as wheel:
            for name in sorted(fnmatch.filter(wheel.namelist(), _PATTERN)):
                yield name, wheel.read(name)
        return
    with tarfile.open(archive) as sources:
        for member in sources:
            data = sources.extractfile(member) if fnmatch.fnmatch(member.name, _PATTERN) else None
            if data is not None:
                yield member.name, data.read()


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
        made = calls(draw, count, _ASCII)
        told = [(each.name, json.loads(each.arguments)) for each in made]
        if not takes(tokenizer, form, turn(made)):
            return "wrong"
        text, found = read(form, turn(made), draw)
        if text or [(name, json.loads(arguments)) for name, arguments in found] != told:
            return "wrong"
    return "own"


def main() -> int:
    found = {
        name: judged(name, text)
        for archive in sys.argv[1:]
        for name, text in templates(Path(archive))
    }
    sys.stdout.write("".join(f"{each:6} {name}\n" for name, each in found.items()))
    return int("wrong" in found.values() or "own" not in found.values())


if __name__ == "__main__":
    sys.exit(main())

"""Writes the manual page, from the command line's own help: `python -m release.manual`.

The page is in the macros of man(7), with a section for each command and one for the settings, which
`serve` and `demo` share.
"""

import os
from collections.abc import Iterable, Iterator

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from release.tree import ROOT, version

PAGE = ROOT / "ops" / "polydelta.1"
_SETTINGS = "Settings"
_VARIABLES = (
    "Every flag has a variable, which the help of the command names, and a line of that name in a "
    "TOML file: that of --config or POLYDELTA_CONFIG, else ./polydelta.toml. Flags win over "
    "variables, variables over lines."
)
_STATUS = (
    "0 if all went well; 1 if something failed, with one line that says what to do; 2 if the "
    "arguments are wrong."
)


def manual() -> str:
    """The page's source."""
    # What the help shows of places is then nobody's.
    for variable in [name for name in os.environ if name.startswith(("POLYDELTA_", "XDG_"))]:
        del os.environ[variable]
    from server.cli.root import app

    root = get_command(app)
    context = typer.Context(root, info_name="polydelta")
    return "\n".join(
        [*_head(root.help or ""), *_commands(root, context), *_tail(root, context), ""]
    )


def _head(sentence: str) -> Iterator[str]:
    yield f'.TH POLYDELTA 1 "" "polydelta {version()}" "User Commands"'
    # Neither hyphens nor wide spaces: what is read here is typed.
    yield from (".nh", ".ad l")
    yield from (".SH NAME", f"polydelta \\- {_text(sentence[0].lower() + sentence[1:-1])}")
    yield from (".SH SYNOPSIS", ".B polydelta", r"[\-\-version] [\-\-help] COMMAND [ARGUMENTS]")
    yield from (".SH DESCRIPTION", _text(sentence))
    yield _text("polydelta demo serves a small model with its tasks, and prints what to try.")
    yield ".SH COMMANDS"


def _commands(command: object, context: typer.Context) -> Iterator[str]:
    if isinstance(command, TyperCommand | TyperGroup):
        yield from _command(command, context)
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from _commands(each, typer.Context(each, info_name=name, parent=context))


def _command(command: TyperCommand | TyperGroup, context: typer.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SS", f"{_text(context.command_path)} {_text(usage)}", _text(command.help or ""))
    yield from _records(p.get_help_record(context) for p in command.params if not _is_setting(p))


def _tail(root: object, context: typer.Context) -> Iterator[str]:
    serve = root.commands["serve"] if isinstance(root, TyperGroup) else None
    if isinstance(serve, TyperCommand):
        yield from (".SH SETTINGS", _text("Of serve and demo."))
        inner = typer.Context(serve, info_name="serve", parent=context)
        yield from _records(p.get_help_record(inner) for p in serve.params if _is_setting(p))
    yield from (".SH ENVIRONMENT AND FILES", _text(_VARIABLES))
    yield from (".SH EXIT STATUS", _text(_STATUS))


def _is_setting(parameter: object) -> bool:
    return isinstance(parameter, TyperOption) and parameter.rich_help_panel == _SETTINGS


def _records(records: Iterable[tuple[str, str] | None]) -> Iterator[str]:
    for record in records:
        if record is not None:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))


def _text(text: str) -> str:
    """A text as roff writes it: nothing in it is a request, and its hyphens are those of flags."""
    words = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + words if words.startswith((".", "'")) else words


if __name__ == "__main__":
    PAGE.write_text(manual())

"""Lines of the settings file, as defaults of the flags that are not settings of a server."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from server.errors import InvalidSettings
from server.settings import ENV_PREFIX, OTHER_LINES, Settings, read_lines


def use_lines(context: typer.Context, named: Path | None = None) -> None:
    """Let a settings file hold the defaults of a command's flags, or of those of all commands.

    The file is the one named, else POLYDELTA_CONFIG's, else ./polydelta.toml. Raises
    InvalidSettings if it cannot be read or holds a line that is no flag's.
    """
    file = named or os.environ.get(f"{ENV_PREFIX}CONFIG")
    lines = read_lines(file)
    if unknown := sorted(lines.keys() - OTHER_LINES - Settings.model_fields.keys()):
        raise InvalidSettings(f"These lines belong to no flag: {', '.join(unknown)}.")
    context.default_map = _defaults(context.command, lines)


def _defaults(command: object, lines: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # A group may have flags of its own, beside its commands.
    for parameter in command.params if isinstance(command, TyperCommand | TyperGroup) else ():
        line = str(parameter.envvar or "").removeprefix(ENV_PREFIX).lower()
        if parameter.name and line in lines:
            found[parameter.name] = lines[line]
    if isinstance(command, TyperGroup):
        found |= {name: _defaults(each, lines) for name, each in command.commands.items()}
    return found

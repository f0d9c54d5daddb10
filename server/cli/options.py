"""Flags made from the settings, so that each has its variable and its line in the help."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from server.cli.lines import use_lines
from server.errors import InvalidSettings
from server.settings import ENV_PREFIX, Settings

# A command takes its base in its own way.
_FIELDS = {name: field for name, field in Settings.model_fields.items() if name != "base"}


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for every setting but the base.

    The flags that were given reach it as one dictionary, its keyword `flags`.
    """

    @wraps(command)
    def run(**arguments: Any) -> None:
        flags = {name: arguments.pop(name) for name in _FIELDS}
        given = {name: value for name, value in flags.items() if value is not None}
        if "tasks" in given:
            given["tasks"] = dict(_pair(text) for text in given["tasks"])
        command(**arguments, flags=given)

    own = inspect.signature(command, eval_str=True).parameters.values()
    kept = [parameter for parameter in own if parameter.name != "flags"]
    added = [_parameter(name, field) for name, field in _FIELDS.items()]
    vars(run)["__signature__"] = inspect.Signature([*kept, *added])
    return run


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, flag = (list[str], "task") if name == "tasks" else (_bare(field.annotation), name)
    default = field.get_default(call_default_factory=True, validated_data={})
    spelt = flag.replace("_", "-")
    option = typer.Option(
        f"--{spelt}/--no-{spelt}" if kind is bool else f"--{spelt}",
        help=f"{field.description} ({ENV_PREFIX}{name.upper()}).",
        metavar="NAME=DIR_OR_URI" if name == "tasks" else _item(kind),
        show_default=_shown(default) if default else False,
        rich_help_panel="Settings",
        # Before the command's own flags, whose defaults the file may hold.
        is_eager=name == "config",
        callback=_use_file if name == "config" else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _bare(annotation: Any) -> Any:
    """A type without what is checked of it, which the help would print."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(kind for kind in get_args(annotation) if kind is not NoneType))
    return annotation


def _item(kind: Any) -> str | None:
    """What a flag that may be repeated takes each time; None for one that may not be."""
    return f"<{get_args(kind)[0].__name__.lower()}>" if get_origin(kind) is list else None


def _shown(default: object) -> str:
    if isinstance(default, Path) and default.is_relative_to(Path.home()):
        return f"~/{default.relative_to(Path.home())}"
    return ", ".join(map(str, default)) if isinstance(default, list) else str(default)


def _use_file(context: typer.Context, named: Path | None) -> Path | None:
    use_lines(context, named)
    return named


def _pair(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not (name and equals and source):
        raise InvalidSettings(f"--task takes NAME=DIR_OR_URI, not '{text}'.")
    return name, source

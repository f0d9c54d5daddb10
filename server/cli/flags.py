"""Flags that several commands share, each with its variable."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from server.settings import ENV_PREFIX, OTHER_LINES


def flag(name: str, *others: str, twin: str | None = None, **details: Any) -> Any:
    """An option `--name` whose environment twin is POLYDELTA_NAME, or POLYDELTA_TWIN.

    Its line in the settings file is called as the variable is, `name` or `twin`.
    """
    line = (twin or name).replace("-", "_")
    OTHER_LINES.add(line)
    return typer.Option(f"--{name}", *others, envvar=ENV_PREFIX + line.upper(), **details)


def _check_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{url} does not begin with http:// or https://")
    return url


Url: TypeAlias = Annotated[
    str | None,
    flag(
        "base-url",
        "--url",
        help="Where the server is.",
        show_default="http://127.0.0.1:8000",
        callback=_check_url,
    ),
]
AdminUrl: TypeAlias = Annotated[
    str | None,
    flag(
        "admin-url",
        help="Ask the server there, with a key of the scope admin, and open no database.",
        callback=_check_url,
    ),
]
RegistryUrl: TypeAlias = Annotated[
    str | None,
    typer.Option("--registry", envvar=f"{ENV_PREFIX}REGISTRY", help="As for servers."),
]
"""Where a registry's database is; its line in the settings file is the server's."""
Format: TypeAlias = Annotated[Literal["text", "json"], flag("output", "-o", help="How to print.")]
"""How a command prints its result; its default is "text"."""
Root: TypeAlias = Annotated[
    Path | None, flag("store", help="The store's directory.", show_default="as for servers")
]

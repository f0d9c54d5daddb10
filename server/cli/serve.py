"""`polydelta serve`: a base and the tasks on it, until a signal."""

from typing import Annotated, Any

import typer

from server.cli.options import takes_settings
from server.cli.start import start
from server.settings import Settings


@takes_settings
def serve(
    base: Annotated[
        str | None,
        typer.Argument(
            help="A local directory, package:NAME or a hub id, with @REVISION (POLYDELTA_BASE)."
        ),
    ] = None,
    *,
    flags: dict[str, Any],
) -> None:
    """Serve a base and the tasks on it."""
    start(Settings.gather(**flags, **({"base": base} if base else {})))

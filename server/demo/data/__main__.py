"""Write a dataset as JSON lines: `python -m server.demo.data topic --out DIR`."""

from pathlib import Path
from typing import Annotated

import typer

from server.demo.data import DATASETS
from server.demo.packages import PackageError


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(DATASETS)}.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path(),
) -> None:
    """Write NAME.train.jsonl, NAME.test.jsonl and, where there is another source, its records."""
    if name not in DATASETS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(DATASETS)}")
    try:
        paths = DATASETS[name]().write(out, name)
    except PackageError as error:
        typer.echo(error, err=True)
        raise typer.Exit(code=1) from error
    for path in paths:
        typer.echo(path)


if __name__ == "__main__":
    typer.run(main)

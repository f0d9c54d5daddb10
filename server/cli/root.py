"""The root of the command line, and what a user sees when something fails."""

import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup

import polydelta_client
from deltas.errors import PolydeltaError
from polydelta_client import APIConnectionError
from server.cli import bench, key, store, task, tenant
from server.cli.audit import audit
from server.cli.demo import demo
from server.cli.doctor import doctor
from server.cli.infer import infer
from server.cli.lines import use_lines
from server.cli.printing import err
from server.cli.serve import serve
from server.cli.train import train
from server.cli.welcome import welcome
from server.system.openmp import settle_openmp

app = typer.Typer(
    name="polydelta",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (serve, demo, infer):
    app.command()(command)
app.add_typer(task.app, name="task", help="The tasks of a running server.")
app.add_typer(store.app, name="store", help="The store, in which tasks last.")
app.add_typer(key.app, name="key", help="The API keys of a store's servers.")
app.add_typer(tenant.app, name="tenant", help="What the tenants of a store may use.")
app.add_typer(bench.app, name="bench")
for command in (audit, train, doctor):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"polydelta {version('polydelta')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Many tasks from one frozen base model, each a small delta, switched per request."""
    del version
    if context.invoked_subcommand is None:
        group = context.command
        return welcome(group.commands if isinstance(group, TyperGroup) else ())
    # Those with --config read the file that it names.
    if context.invoked_subcommand not in (serve.__name__, demo.__name__):
        use_lines(context)
    return None


def main() -> None:
    """Run the command line; a mistake costs one line, not a traceback."""
    settle_openmp()
    try:
        app()
    except APIConnectionError as error:
        _fail(
            f"{error}. Does a server run there (--url or --admin-url)? polydelta demo starts one."
        )
    except (PolydeltaError, polydelta_client.PolydeltaError, OSError, ValueError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    err.print(f"[bold red]error:[/] {escape(message)}")
    sys.exit(1)

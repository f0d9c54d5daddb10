"""`polydelta task …`: the tasks of a running server."""

from typing import Annotated

import typer

from polydelta_client import Polydelta, Task, Version
from server.cli.flags import Format, Url, flag
from server.cli.printing import err, moment, print_json, print_table, size
from server.cli.progress import upload
from server.cli.traffic import traffic

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The tasks of a running server."
)

Name = Annotated[str, typer.Argument(help="The task.")]
Source = Annotated[
    str,
    typer.Argument(
        help="Its delta: a directory or file here, to be uploaded, or a URI that the server reads."
    ),
]


Which = Annotated[
    str, typer.Argument(help="A version: its number, an alias, or the beginning of its digest.")
]


app.command()(traffic)


@app.command()
def add(
    name: Name,
    source: Source,
    activate: Annotated[
        bool | None,
        flag(
            "activate/--no-activate",
            twin="add-activate",
            help="Whether it answers from then on; else it is a version to give a share to.",
            show_default="yes, unless versions share the task's requests",
        ),
    ] = None,
    url: Url = None,
) -> None:
    """Add a task, or give it a new delta, which answers from then on unless told otherwise."""
    with Polydelta(url) as client, upload(client, name, source) as files:
        task = client.tasks.put(name, files, activate=activate)
    err.print(f"{task.id}: version {task.version}, {task.kind}, {size(task.bytes)}")
    newest = max(task.versions, key=lambda version: version.number)
    if not newest.active:
        err.print(f"version {newest.version} ({newest.number}) does not answer yet")
    for warning in task.warnings:
        err.print(f"warning: {warning}")


@app.command("ls")
def list_all(url: Url = None, output: Format = "text") -> None:
    """List the tasks."""
    with Polydelta(url) as client:
        tasks = client.tasks.list()
    if output == "json":
        return print_json([task.model_dump() for task in tasks])
    headings = ("TASK", "TYPE", "KIND", "VERSION", "RESIDENT", "SIZE", "REQUESTS")
    return print_table(headings, [_row(task) for task in tasks])


@app.command()
def show(name: Name, url: Url = None, output: Format = "text") -> None:
    """Show one task."""
    with Polydelta(url) as client:
        task = client.tasks.get(name)
    if output == "json":
        return print_json(task.model_dump())
    return print_table(("TASK", task.id), _details(task))


@app.command("rm")
def remove(
    name: Name,
    forever: Annotated[
        bool,
        flag("forever", twin="remove-forever", help="Keep none of its versions to go back to."),
    ] = False,
    url: Url = None,
) -> None:
    """Remove a task; requests under way still finish, and `activate` can bring it back."""
    with Polydelta(url) as client:
        client.tasks.delete(name, forever=forever)
    err.print(f"{name}: removed")


@app.command()
def versions(name: Name, url: Url = None, output: Format = "text") -> None:
    """List the versions of a task, the newest first."""
    with Polydelta(url) as client:
        found = client.tasks.versions(name)
    if output == "json":
        return print_json([version.model_dump() for version in found])
    return print_table(_VERSION, [_version_row(version) for version in found])


@app.command()
def activate(name: Name, version: Which, url: Url = None) -> None:
    """Have another version answer; this also brings back a task that was removed."""
    with Polydelta(url) as client:
        task = client.tasks.activate(name, version)
    err.print(f"{task.id}: version {task.version} answers")


@app.command()
def alias(
    name: Name,
    alias: Annotated[str, typer.Argument(help="The free name.")],
    version: Annotated[
        str | None, typer.Argument(help="The version that gets it; else the name is taken away.")
    ] = None,
    url: Url = None,
) -> None:
    """Give a version a free name: NAME@ALIAS asks for it."""
    with Polydelta(url) as client:
        if version is None:
            client.tasks.unalias(name, alias)
            err.print(f"{name}@{alias}: taken away")
        else:
            client.tasks.alias(name, alias, version)
            err.print(f"{name}@{alias}: version {version}")


_VERSION = (
    "NUMBER", "VERSION", "KIND", "SIZE", "CREATED", "SOURCE", "BY", "SCORES", "ANSWERS", "ALIASES"
)  # fmt: skip


def _version_row(version: Version) -> tuple[object, ...]:
    return (
        version.number,
        version.version,
        version.kind,
        size(version.bytes),
        moment(version.created),
        version.source,
        version.by or "",
        ", ".join(f"{name} {score:.3g}" for name, score in version.scores.items()),
        "yes" if version.active else "",
        ", ".join(version.aliases),
    )


def _row(task: Task) -> tuple[object, ...]:
    place = task.resident or ""
    return task.id, task.type, task.kind, task.version, place, size(task.bytes), task.requests


def _last_error(task: Task) -> list[tuple[str, object]]:
    last = task.last_error
    return [("last error", f"{last.code}, {moment(last.time)}")] if last else []


def _details(task: Task) -> list[tuple[str, object]]:
    return [
        ("type", task.type),
        ("kind", task.kind),
        ("labels", ", ".join(task.labels or ())),
        ("version", task.version),
        ("versions", ", ".join(version.version for version in task.versions)),
        ("resident", task.resident or ""),
        ("size", size(task.bytes)),
        ("requests", task.requests),
        *_last_error(task),
        ("base", task.base or ""),
        *(("warning", warning) for warning in task.warnings),
    ]

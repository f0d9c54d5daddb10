"""`polydelta store …`: looking after a store, beside running servers or without any."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from server.cli.flags import Format, flag
from server.cli.printing import err, print_json, print_table, size
from server.cli.progress import progress
from server.user_directories import user_store

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The store, in which tasks last."
)

Root: TypeAlias = Annotated[
    Path | None, flag("store", help="The store's directory.", show_default="as for servers")
]


@app.command()
def check(store: Root = None, output: Format = "text") -> None:
    """Check the database and every blob, and change nothing; exits with 1 if anything is found."""
    # The rest of the command line answers at once because only this waits for Torch.
    from server.registry.upkeep.check import check as look_at

    with ExitStack() as shown:
        report = look_at(
            store or user_store(),
            lambda total: shown.enter_context(progress("Reading blobs", total)),
        )
    if output == "json":
        print_json(report)
    elif report.findings:
        rows = [(each.about, each.where, each.fault, each.advice) for each in report.findings]
        print_table(("ABOUT", "WHERE", "FAULT", "WHAT TO DO"), rows)
    err.print(
        f"{report.tasks} tasks, {report.versions} versions, {report.blobs} blobs of "
        f"{size(report.bytes)}: {len(report.findings) or 'no'} findings"
    )
    if report.findings:
        raise typer.Exit(1)


@app.command("gc")
def collect(
    store: Root = None,
    dry_run: Annotated[bool, flag("dry-run", help="Only tell what would go.")] = False,
    keep_versions: Annotated[
        int | None, flag("keep-versions", min=1, help="Of each task; else all are kept.")
    ] = None,
    keep_hours: Annotated[
        float | None, flag("keep-hours", min=0, help="All versions for so long, whatever else.")
    ] = None,
    keep_removed_hours: Annotated[
        float | None, flag("keep-removed-hours", min=0, help="Removed tasks for so long.")
    ] = None,
    output: Format = "text",
) -> None:
    """Remove what no task needs and, where a rule is given, versions that the rules do not keep.

    Without any rule that is left to the servers, which know theirs.
    """
    from server.registry.retention import Retention
    from server.registry.upkeep.garbage import collect as collect_from

    told = {"versions": keep_versions, "hours": keep_hours, "removed_hours": keep_removed_hours}
    given = {name: value for name, value in told.items() if value is not None}
    rules = replace(Retention(), **given) if given else None
    freed = collect_from(store or user_store(), rules, pretend=dry_run)
    if output == "json":
        print_json(freed)
    word = "would be removed" if dry_run else "removed"
    err.print(
        f"{freed.blobs} blobs and {freed.leftovers} leftovers {word}, {size(freed.bytes)}; "
        f"{freed.tasks} tasks with fewer versions"
    )

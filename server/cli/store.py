"""`polydelta store …`: looking after a store, beside running servers or without any."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from server.cli.database import opened
from server.cli.flags import Format, RegistryUrl, Root, flag
from server.cli.printing import err, print_json, print_table, size
from server.cli.progress import progress
from server.user_directories import user_store

if TYPE_CHECKING:
    from server.registry.supply.bucket import Bucket

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The store, in which tasks last."
)


_Archive: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE.tar", show_default=False)]


@app.command()
def check(
    store: Root = None,
    registry: RegistryUrl = None,
    require_signature: Annotated[
        Path | None,
        flag("require-signature", help="Name versions that are not signed by this public key."),
    ] = None,
    output: Format = "text",
) -> None:
    """Check the database and every blob, and change nothing; exits with 1 if anything is found."""
    # The rest of the command line answers at once because only this waits for Torch.
    from server.registry.signatures import Signatures
    from server.registry.upkeep.check import check as look_at

    signatures = Signatures(require_signature) if require_signature else None
    with _bar("Reading blobs") as begin:
        report = look_at(store or user_store(), begin, signatures, url=registry)
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
    registry: RegistryUrl = None,
    blobs: Annotated[
        str | None,
        flag("blobs", help="Clean this bucket of a --registry instead, as s3://BUCKET/PREFIX."),
    ] = None,
    older_hours: Annotated[
        float, flag("older-hours", min=1, help="In a bucket, what is younger stays.")
    ] = 24.0,
    output: Format = "text",
) -> None:
    """Remove what no task needs and, where a rule is given, versions that the rules do not keep.

    Without any rule that is left to the servers, which know theirs.
    """
    if blobs is not None:
        return _collect_bucket(store, registry, blobs, older_hours, dry_run=dry_run, output=output)
    from server.registry.retention import Retention
    from server.registry.upkeep.garbage import collect as collect_from

    told = {"versions": keep_versions, "hours": keep_hours, "removed_hours": keep_removed_hours}
    given = {name: value for name, value in told.items() if value is not None}
    rules = changed(Retention(), **given) if given else None
    freed = collect_from(store or user_store(), rules, pretend=dry_run, url=registry)
    if output == "json":
        print_json(freed)
    word = "would be removed" if dry_run else "removed"
    err.print(
        f"{freed.blobs} blobs and {freed.leftovers} leftovers {word}, {size(freed.bytes)}; "
        f"{freed.tasks} tasks with fewer versions"
    )
    return None


def _collect_bucket(
    store: Path | None,
    registry: str | None,
    blobs: str,
    hours: float,
    *,
    dry_run: bool,
    output: str,
) -> None:
    from server.registry.upkeep.bucket_garbage import collect_bucket

    if registry is None:
        raise typer.BadParameter("--blobs needs the --registry whose servers put them there")
    with opened(store, registry) as database:
        removed = collect_bucket(_bucket(blobs), database, hours, pretend=dry_run)
    if output == "json":
        print_json(removed)
    word = "would be removed" if dry_run else "removed"
    err.print(f"{removed.blobs} of {removed.of} blobs {word}, {size(removed.bytes)}")


def _bucket(blobs: str) -> "Bucket":
    # Only who has one waits for its library to be loaded.
    from server.registry.sources.address import Address
    from server.registry.supply.bucket import Bucket

    return Bucket(Address.read(blobs))


@app.command()
def export(
    archive: _Archive,
    store: Root = None,
    registry: RegistryUrl = None,
    task: Annotated[
        list[str] | None,
        flag("task", twin="export-task", help="One to take, else all; a tenant's is TENANT/NAME."),
    ] = None,
    output: Format = "text",
) -> None:
    """Write tasks with all their versions and files into one file, for `store import`.

    Without --task also API keys (of each a hash) and limits of tenants. Exits with 1 if damaged
    ones had to be left out.
    """
    from server.registry.upkeep.exporting import export as write

    with _bar("Writing blobs") as begin:
        written = write(store or user_store(), archive, task or (), begin, url=registry)
    if output == "json":
        print_json(written)
    err.print(
        f"{written.tasks} tasks, {written.versions} versions, {written.blobs} blobs, "
        f"{written.keys} keys, limits of {written.tenants} tenants: {size(written.bytes)}"
    )
    if written.left_out:
        err.print(f"left out, since they are damaged: {', '.join(written.left_out)}", markup=False)
        raise typer.Exit(1)


@app.command("import")
def import_archive(
    archive: _Archive,
    store: Root = None,
    registry: RegistryUrl = None,
    replace: Annotated[
        bool,
        flag(
            "replace",
            twin="import-replace",
            help="Also in the place of tasks that are there and differ.",
        ),
    ] = False,
    tasks_only: Annotated[
        bool, flag("tasks-only", help="Leave keys and limits of the file out.")
    ] = False,
    store_gb: Annotated[float, flag("store-gb", min=0, help="Disk that deltas may take.")] = 50.0,
    blobs: Annotated[
        str | None,
        flag("blobs", help="The bucket of the --registry, which deltas are put into, too."),
    ] = None,
    output: Format = "text",
) -> None:
    """Add the tasks of a file that `store export` wrote; exits with 1 if one is refused."""
    from server.registry.upkeep.importing import import_archive as read
    from server.system.memory import GIGABYTE

    if blobs is not None and registry is None:
        raise typer.BadParameter("--blobs needs the --registry whose servers share it")
    with _bar("Reading blobs") as begin:
        found = read(
            store or user_store(),
            archive,
            begin,
            quota=int(store_gb * GIGABYTE),
            replace=replace,
            access=not tasks_only,
            url=registry,
            bucket=None if blobs is None else _bucket(blobs),
        )
    if output == "json":
        print_json(found)
    else:
        rows = [("task", each.task, each.result, each.reason) for each in found.tasks]
        rows += [(each.about, each.name, each.result, each.reason) for each in found.access]
        print_table(("WHAT", "NAME", "RESULT", "REASON"), rows)
    if found.fault:
        err.print(found.fault, markup=False)
    if found.refused:
        raise typer.Exit(1)


@contextmanager
def _bar(title: str) -> Generator[Callable[[int], Callable[[], None]]]:
    """A bar that is shown once it is told how many steps there will be."""
    with ExitStack() as shown:
        yield lambda total: shown.enter_context(progress(title, total))

"""`polydelta audit`: who changed which task, in a store's registry."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from server.cli.database import opened
from server.cli.flags import Format, RegistryUrl, Root, flag
from server.cli.printing import moment, print_json, print_table

if TYPE_CHECKING:
    from server.registry.audit import Entry


def audit(
    task: Annotated[
        str | None,
        flag("task", twin="audit-task", help="Of one task, TENANT/NAME if it is a tenant's."),
    ] = None,
    since: Annotated[
        datetime | None,
        flag("since", twin="audit-since", help="From that day, or moment, where you are."),
    ] = None,
    limit: Annotated[
        int, flag("limit", twin="audit-limit", min=1, help="At most so many, the newest.")
    ] = 1000,
    store: Root = None,
    registry: RegistryUrl = None,
    output: Format = "text",
) -> None:
    """List who changed which task, when, and what came of it, the newest first."""
    # The rest of the command line answers at once because only this waits for SQLAlchemy.
    from server.registry.catalogue.audit import Audit
    from server.registry.names import TaskName

    with opened(store, registry) as database:
        entries = Audit(database).entries(
            limit,
            task=None if task is None else TaskName.of(task),
            since=None if since is None else since.timestamp(),
        )
    if output == "json":
        return print_json([_flat(each) for each in entries])
    rows = [
        (
            moment(each.at),
            each.who,
            each.kind,
            str(each.task) if each.task.name else each.task.tenant,
            each.version or "",
            each.outcome,
            each.about,
        )
        for each in entries
    ]
    print_table(("WHEN", "WHO", "WHAT", "TASK", "VERSION", "OUTCOME", "MORE"), rows)
    return None


def _flat(entry: "Entry") -> dict[str, Any]:
    """An entry as the API shows it."""
    return asdict(entry) | {"tenant": entry.task.tenant, "task": entry.task.name}

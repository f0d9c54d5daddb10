"""`polydelta tenant …`: what tenants may use, in a store's registry or by a server that has it."""

from dataclasses import asdict
from typing import Annotated, Any, cast

import typer

from polydelta_client import Limits, Polydelta, Tenant
from server.cli.database import opened
from server.cli.flags import AdminUrl, Format, RegistryUrl, Root, flag
from server.cli.printing import err, print_json, print_table

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What the tenants of a store may use."
)

_MAX_WEIGHT = 1000


def _limit(name: str, what: str) -> Any:
    return flag(name, twin=f"tenant-{name}", min=0, help=f"{what}; 0 for no limit.")


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="A tenant, as its keys have it.")],
    requests_per_minute: Annotated[
        int | None, _limit("requests-per-minute", "Requests on each server")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, _limit("tokens-per-minute", "Tokens on each server, read and written")
    ] = None,
    tasks: Annotated[int | None, _limit("tasks", "Tasks that answer")] = None,
    gigabytes: Annotated[float | None, _limit("gigabytes", "GiB of deltas")] = None,
    weight: Annotated[
        int | None,
        flag(
            "weight",
            twin="tenant-weight",
            min=1,
            max=_MAX_WEIGHT,
            help="Its share of rows while others wait, too.",
        ),
    ] = None,
    store: Root = None,
    registry: RegistryUrl = None,
    admin_url: AdminUrl = None,
) -> None:
    """Set limits of a tenant; what is not given stays. Servers know within a second."""
    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "tasks": tasks,
        "gigabytes": gigabytes,
        "weight": weight,
    }
    given = {key: each for key, each in limits.items() if each is not None}
    if not given:
        raise typer.BadParameter("Give a limit or a weight; polydelta tenant set --help.")
    if admin_url is not None:
        with Polydelta(admin_url) as client:
            client.tenants.limit(name, cast("Limits", given))
    else:
        # The rest of the command line answers at once because only this waits for SQLAlchemy.
        from server.registry.catalogue.tenants import Tenants
        from server.registry.tenant import check_tenant

        check_tenant(name)
        with opened(store, registry) as database:
            Tenants(database).change(name, lambda known: known.limited(given))
    err.print(f"Set {name}.", markup=False)


@app.command()
def ls(
    store: Root = None,
    registry: RegistryUrl = None,
    admin_url: AdminUrl = None,
    output: Format = "text",
) -> None:
    """List the tenants for whom something was set."""
    if admin_url is not None:
        with Polydelta(admin_url) as client:
            found = client.tenants.list()
    else:
        from server.registry.catalogue.tenants import Tenants

        with opened(store, registry) as database:
            found = [Tenant(**asdict(each)) for each in Tenants(database).all()]
    shown = [each.model_dump() for each in found]
    if output == "json":
        return print_json(shown)
    rows = [["-" if each is None else each for each in tenant.values()] for tenant in shown]
    print_table(("TENANT", "REQUESTS/MIN", "TOKENS/MIN", "TASKS", "GIB", "WEIGHT"), rows)
    return None

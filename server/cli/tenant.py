"""`polydelta tenant …`: what tenants may use, in a store's registry, servers running or not."""

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from server.cli.database import opened
from server.cli.flags import Format, RegistryUrl, Root, flag
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
) -> None:
    """Set limits of a tenant; what is not given stays. Servers know within a second."""
    # The rest of the command line answers at once because only this waits for SQLAlchemy.
    from server.registry.catalogue.tenants import Tenants
    from server.registry.tenant import check_tenant

    check_tenant(name)
    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "tasks": tasks,
        "gigabytes": gigabytes,
    }
    given: dict[str, Any] = {key: each or None for key, each in limits.items() if each is not None}
    if weight is not None:
        given["weight"] = weight
    if not given:
        raise typer.BadParameter("Give a limit or a weight; polydelta tenant set --help.")
    with opened(store, registry) as database:
        Tenants(database).change(name, lambda known: replace(known, **given))
    err.print(f"Set {name}.", markup=False)


@app.command()
def ls(store: Root = None, registry: RegistryUrl = None, output: Format = "text") -> None:
    """List the tenants for whom something was set."""
    from server.registry.catalogue.tenants import Tenants

    with opened(store, registry) as database:
        found = Tenants(database).all()
    if output == "json":
        return print_json([asdict(each) for each in found])
    rows = [["-" if each is None else each for each in asdict(tenant).values()] for tenant in found]
    print_table(("TENANT", "REQUESTS/MIN", "TOKENS/MIN", "TASKS", "GIB", "WEIGHT"), rows)
    return None

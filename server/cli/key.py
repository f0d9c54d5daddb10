"""`polydelta key …`: who may ask, in a store's registry, beside running servers or without any."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from server.cli.database import opened
from server.cli.flags import Format, RegistryUrl, Root, flag
from server.cli.printing import err, out, print_json, print_table
from server.user_directories import user_store

if TYPE_CHECKING:
    from server.registry.catalogue.keys import Keys

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The API keys of a store's servers."
)

_DAY = 86_400.0

Name: TypeAlias = Annotated[str, typer.Argument(help="What the key is called.")]


@app.command()
def add(
    name: Name,
    tenant: Annotated[
        str,
        flag(
            "tenant",
            twin="key-tenant",
            help="Whose tasks it sees and changes; without, the shared ones.",
        ),
    ] = "",
    scopes: Annotated[
        str,
        flag(
            "scopes",
            twin="key-scopes",
            help="Of infer, read, write and admin, which has all, with commas.",
        ),
    ] = "infer",
    days: Annotated[
        float | None, flag("days", twin="key-days", min=0, help="For how long it is good.")
    ] = None,
    store: Root = None,
    registry: RegistryUrl = None,
) -> None:
    """Make a key, and show it this once. From the first one on, every request needs a key."""
    from server.registry.keys import Scope, new_key
    from server.registry.requirement import Requirement

    wanted = [Scope(each.strip()) for each in scopes.split(",")]
    expires = None if days is None else time.time() + days * _DAY
    made, text = new_key(name, tenant, wanted, expires)
    with _keys(store, registry) as keys:
        first = not keys.ring().required
        keys.add(made)
    if registry is None:
        Requirement(store or user_store()).remember()
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    err.print("It is shown this once and kept nowhere. Servers know it within a second.")
    if first:
        err.print("From now on every request needs a key, but for checks of health and the page.")


@app.command()
def ls(store: Root = None, registry: RegistryUrl = None, output: Format = "text") -> None:
    """List the keys there ever were, without what opens anything.

    A damaged one opens nothing either; revoking takes it out.
    """
    with _keys(store, registry) as keys:
        found, damaged = keys.all()
    if output == "json":
        return print_json(
            [
                {
                    "name": key.name,
                    "tenant": key.tenant,
                    "scopes": sorted(key.scopes),
                    "created": key.created,
                    "expires": key.expires,
                    "revoked": key.revoked,
                    "good": key.is_good(time.time()),
                }
                for key in found
            ]
            + [{"name": each, "damaged": True, "good": False} for each in damaged]
        )
    rows = [
        (
            key.name,
            key.tenant or "(shared)",
            ",".join(sorted(key.scopes)),
            _day(key.created),
            "revoked" if key.revoked else _day(key.expires) if key.expires else "",
        )
        for key in found
    ]
    rows += [(name, "", "", "", "damaged") for name in damaged]
    print_table(("KEY", "TENANT", "SCOPES", "SINCE", "UNTIL"), rows)
    return None


@app.command()
def revoke(name: Name, store: Root = None, registry: RegistryUrl = None) -> None:
    """Let a key be used no more, or take a damaged one out; servers know within a second."""
    with _keys(store, registry) as keys:
        keys.revoke(name)
    err.print(f"Revoked {name}.", markup=False)


@contextmanager
def _keys(store: Path | None, registry: str | None) -> "Generator[Keys]":
    # The rest of the command line answers at once because only this waits for SQLAlchemy.
    from server.registry.catalogue.keys import Keys

    with opened(store, registry) as database:
        yield Keys(database)


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")

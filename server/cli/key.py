"""`polydelta key …`: who may ask, in a store's registry or by a server that has it."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from polydelta_client import KnownKey, Polydelta
from server.cli.database import opened
from server.cli.flags import AdminUrl, Format, RegistryUrl, Root, flag
from server.cli.printing import err, out, print_json, print_table
from server.user_directories import user_store

if TYPE_CHECKING:
    from server.registry.catalogue.keys import Keys
    from server.registry.keys import Key

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The API keys of a store's servers."
)

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
        float | None, flag("days", twin="key-days", help="For how long it is good.")
    ] = None,
    store: Root = None,
    registry: RegistryUrl = None,
    admin_url: AdminUrl = None,
) -> None:
    """Make a key, and show it this once. From the first one on, every request needs a key."""
    wanted, first = [each.strip() for each in scopes.split(",")], False
    if admin_url is not None:
        with Polydelta(admin_url) as client:
            text = client.keys.add(name, tenant=tenant, scopes=wanted, days=days).key
    else:
        text, first = _add(name, tenant, wanted, days, store, registry)
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    err.print("It is shown this once and kept nowhere. Servers know it within a second.")
    if first:
        err.print("From now on every request needs a key, but for checks of health and the page.")


@app.command()
def ls(
    store: Root = None,
    registry: RegistryUrl = None,
    admin_url: AdminUrl = None,
    output: Format = "text",
) -> None:
    """List all keys, without what opens anything, revoked ones until another takes the name.

    A damaged one opens nothing either; revoking takes it out.
    """
    if admin_url is not None:
        with Polydelta(admin_url) as client:
            found = client.keys.list()
    else:
        with _keys(store, registry) as keys:
            known = keys.all()
        found = [*map(_known, known.sound), *map(_damaged, known.damaged)]
    if output == "json":
        return print_json([key.model_dump() for key in found])
    return print_table(("KEY", "TENANT", "SCOPES", "SINCE", "UNTIL"), map(_row, found))


@app.command()
def revoke(
    name: Name, store: Root = None, registry: RegistryUrl = None, admin_url: AdminUrl = None
) -> None:
    """Let a key be used no more, or take a damaged one out; servers know within a second."""
    if admin_url is not None:
        with Polydelta(admin_url) as client:
            client.keys.revoke(name)
    else:
        with _keys(store, registry) as keys:
            keys.revoke(name)
    err.print(f"Revoked {name}.", markup=False)


def _add(
    name: str,
    tenant: str,
    scopes: list[str],
    days: float | None,
    store: Path | None,
    registry: str | None,
) -> tuple[str, bool]:
    """Make a key in the database; return its text, and whether it is the first one."""
    from server.registry.keys import Scope, new_key
    from server.registry.requirement import Requirement

    if unknown := [each for each in scopes if each not in [*Scope]]:
        raise typer.BadParameter(
            f"{unknown[0]!r} is no scope; it takes {', '.join(Scope)}, with commas",
            param_hint="'--scopes'",
        )
    made, text = new_key(name, tenant, map(Scope, scopes), days)
    with _keys(store, registry) as keys:
        first = not keys.ring().required
        keys.add(made)
    if registry is None:
        Requirement(store or user_store()).remember()
    return text, first


@contextmanager
def _keys(store: Path | None, registry: str | None) -> "Generator[Keys]":
    # The rest of the command line answers at once because only this waits for SQLAlchemy.
    from server.registry.catalogue.keys import Keys

    with opened(store, registry) as database:
        yield Keys(database)


def _known(key: "Key") -> KnownKey:
    return KnownKey(
        name=key.name,
        tenant=key.tenant,
        scopes=sorted(key.scopes),
        created=key.created,
        expires=key.expires,
        revoked=key.revoked,
        good=key.is_good(time.time()),
        damaged=False,
    )


def _damaged(name: str) -> KnownKey:
    return KnownKey(name, "", [], None, None, None, good=False, damaged=True)


def _row(key: KnownKey) -> tuple[str, ...]:
    if key.damaged:
        return key.name, "", "", "", "damaged"
    until = "revoked" if key.revoked else _day(key.expires)
    tenant = key.tenant or "(shared)"
    return key.name, tenant, ",".join(key.scopes), _day(key.created), until


def _day(moment: float | None) -> str:
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")

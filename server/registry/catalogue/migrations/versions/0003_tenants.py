"""Whose a task is: all there were until now are of the shared tenant."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = ("tasks", "versions", "traffic")


def upgrade() -> None:
    """Make the tables of tasks anew, with the tenant in their keys and seals."""
    connection = op.get_bind()
    rows = {name: _all(connection, name) for name in _TABLES}
    for name in _TABLES:
        op.drop_table(name)
    tasks = op.create_table(
        "tasks",
        sa.Column("base", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("active", sa.Integer),
        sa.Column("aliases", sa.Text, nullable=False),
        sa.Column("latest", sa.Integer, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        sa.Column("expires", sa.Float),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    versions = op.create_table(
        "versions",
        sa.Column("base", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("task", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, index=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.UniqueConstraint("base", "tenant", "task", "digest"),
    )
    traffic = op.create_table(
        "traffic",
        sa.Column("base", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("task", sa.String(128), primary_key=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    for table in (tasks, versions, traffic):
        if moved := [_owned(row) for row in rows[table.name]]:
            op.bulk_insert(table, moved)
    op.add_column("changes", sa.Column("tenant", sa.String(64), nullable=False, server_default=""))


def _all(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    read = sa.select(sa.text("*")).select_from(sa.table(table))
    return [dict(row) for row in connection.execute(read).mappings()]


def _owned(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the shared tenant; what was damaged stays damaged."""
    owned = {**row, "tenant": ""}
    return {**owned, "seal": _seal(owned)} if row["seal"] == _seal(row) else owned


def _seal(row: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in row.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

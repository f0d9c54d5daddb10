"""Tables: how tasks lie in a database.

A base's fingerprint comes first in every key, since a delta fits one base alone, then the tenant
whose the task is. Each row of tasks and versions carries a seal, a digest of all else in it, by
which damage is told from data.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text, UniqueConstraint

METADATA = MetaData()

_KEY = String(64)
_NAME = String(128)

TASKS = Table(
    "tasks",
    METADATA,
    Column("base", _KEY, primary_key=True),
    Column("tenant", _KEY, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("active", Integer),
    Column("aliases", Text, nullable=False),
    Column("latest", Integer, nullable=False),
    Column("changed", Float, nullable=False),
    Column("expires", Float),
    Column("seal", String(64), nullable=False),
)

VERSIONS = Table(
    "versions",
    METADATA,
    Column("base", _KEY, primary_key=True),
    Column("tenant", _KEY, primary_key=True),
    Column("task", _NAME, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", _KEY, nullable=False, index=True),
    Column("about", Text, nullable=False),
    Column("seal", String(64), nullable=False),
    UniqueConstraint("base", "tenant", "task", "digest"),
)

TRAFFIC = Table(
    "traffic",
    METADATA,
    Column("base", _KEY, primary_key=True),
    Column("tenant", _KEY, primary_key=True),
    Column("task", _NAME, primary_key=True),
    Column("about", Text, nullable=False),
    Column("seal", String(64), nullable=False),
)
"""A row for each task whose versions share its traffic."""

KEYS = Table(
    "keys",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("tenant", _KEY, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("digest", _KEY, nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("seal", String(64), nullable=False),
)
"""A row for each API key, of which only a digest is kept; revoked ones stay."""

TENANTS = Table(
    "tenants",
    METADATA,
    Column("name", _KEY, primary_key=True),
    Column("about", Text, nullable=False),
    Column("seal", String(64), nullable=False),
)
"""A row for each tenant for whom a limit or a weight was set."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False, index=True),
    Column("who", _NAME, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("tenant", _KEY, nullable=False),
    Column("task", _NAME, nullable=False),
    Column("version", Integer),
    Column("about", Text, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("seal", String(64), nullable=False),
)
"""A row for each change of a task or a key, and for each that was refused: who wanted it, when."""

CHANGES = Table(
    "changes",
    METADATA,
    Column("revision", Integer, primary_key=True, autoincrement=True),
    Column("base", _KEY, nullable=False),
    Column("tenant", _KEY, nullable=False, server_default=""),
    Column("task", _NAME, nullable=False),
    Column("at", Float, nullable=False),
    Column("what", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""One row for each change, in order: what other servers follow, and who reads what happened."""

NO_BASE = ""
"""In place of a base's fingerprint, in changes of keys and tenants, which are of none."""

IDENTITY = Table("identity", METADATA, Column("id", String(32), primary_key=True))
"""The one row of the id that tells this registry from others."""

SERVERS = Table(
    "servers",
    METADATA,
    Column("address", String(512), primary_key=True),
    Column("seen", Float, nullable=False),
)
"""Where servers can be reached by others, and when each last said so, in seconds of the epoch."""


SEAL = "seal"
"""The column with a row's seal, in each table that has seals."""


def sealed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its seal."""
    return {**row, SEAL: _seal(row)}


def is_sound(row: Mapping[str, Any]) -> bool:
    """Whether a row is as it was written."""
    # Damage may make bytes of a text, which no seal is made of.
    return not any(isinstance(value, bytes) for value in row.values()) and row[SEAL] == _seal(row)


def _seal(row: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in row.items() if name != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()

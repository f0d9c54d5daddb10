"""Quotas of tenants: whether a task, or another version of one, is within what its tenant may."""

import json

from sqlalchemy import Connection, func, select

from server.errors import InsufficientStorage
from server.registry.catalogue.tables import TASKS, VERSIONS, is_sound
from server.registry.catalogue.tenants import tenant_of
from server.registry.names import TaskName
from server.registry.task import Task

_GIB = 1 << 30


def check_tasks(connection: Connection, base: str, name: TaskName) -> None:
    """Raise InsufficientStorage where a task would be one too many of its tenant's."""
    most = tenant_of(connection, name.tenant).tasks
    if most is None:
        return
    other = (TASKS.c.base != base) | (TASKS.c.name != name.name)
    others = select(func.count()).where(TASKS.c.tenant == name.tenant, other)
    if (connection.scalar(others.where(TASKS.c.active.is_not(None))) or 0) >= most:
        raise InsufficientStorage(
            f"Tenant '{name.tenant}' has {most} tasks, as many as it may. Remove one (polydelta "
            "task rm NAME), or have the operator allow more (polydelta tenant set "
            f"{name.tenant} --tasks N)."
        )


def check_bytes(connection: Connection, base: str, before: Task, after: Task) -> None:
    """Raise InsufficientStorage where a task's new versions are too much for its tenant.

    All versions that are kept count, those with the same files once.
    """
    name = after.name
    if {each.number for each in after.versions} <= {each.number for each in before.versions}:
        return
    most = tenant_of(connection, name.tenant).gigabytes
    if most is None:
        return
    other = (VERSIONS.c.base != base) | (VERSIONS.c.task != name.name)
    rows = connection.execute(select(VERSIONS).where(VERSIONS.c.tenant == name.tenant, other))
    found = (dict(row) for row in rows.mappings())
    sizes = {row["digest"]: json.loads(row["about"])["bytes"] for row in found if is_sound(row)}
    sizes.update((each.ref.digest, each.bytes) for each in after.versions)
    if sum(sizes.values()) > most * _GIB:
        raise InsufficientStorage(
            f"The deltas of tenant '{name.tenant}' may take {most:.3g} GiB. Remove a task for good "
            "(polydelta task rm NAME --forever), or have the operator allow more (polydelta tenant "
            f"set {name.tenant} --gigabytes X)."
        )

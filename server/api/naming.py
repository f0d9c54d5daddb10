"""Naming: which task a request means that need not name one."""

from collections.abc import Callable
from typing import Annotated, TypeAlias

from pydantic import Field

from deltas.delta import TaskType
from server.errors import CapabilityMismatch, InvalidRequest
from server.registry.names import MAX_REFERENCE
from server.registry.namespace import Namespace
from server.registry.version import Version

_SHOWN = 3

ModelName: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)]
"""A task, or one of its versions as `task@version`."""

OptionalModel: TypeAlias = Annotated[
    ModelName,
    Field(description="The task, or `base`; may be left out where only one does what is asked"),
]


def named(registry: Namespace, name: str | None, *types: TaskType) -> str:
    """The task that a request names in `model`, or else the only one of some types.

    Raises InvalidRequest if there are several, CapabilityMismatch if there is none; whether a named
    one does what is asked is not looked at.
    """
    return name or able(registry, lambda version: version.type in types)


def able(registry: Namespace, does: Callable[[Version], bool]) -> str:
    """The only task that does something; raises as `named` does."""
    found = registry.able(does, _SHOWN + 1)
    if not found:
        raise CapabilityMismatch("No task of this server does what is asked; put one.", "task")
    if len(found) > 1:
        more = ", …" if len(found) > _SHOWN else ""
        shown = f"{', '.join(found[:_SHOWN])}{more}"
        raise InvalidRequest(f"Several tasks can answer this: name one of {shown}.", "task")
    return found[0]

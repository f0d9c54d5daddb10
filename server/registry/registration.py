"""Registrations: what a task looks like from outside."""

from dataclasses import dataclass

from server.registry.version import Version


@dataclass(frozen=True, slots=True)
class Registration:
    """A task as it was at one moment.

    `requests` counts what it was asked since the server started. `versions` are those that the
    server holds: the active one, then replaced ones that requests under way still use.
    """

    name: str
    active: Version
    requests: int
    versions: tuple[Version, ...]

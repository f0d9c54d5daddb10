"""Loaded: which tasks have their deltas in memory, for metrics and whoever routes by them."""

from dataclasses import dataclass

from deltas.delta import DeltaRef
from server.engine.residency import Residency
from server.errors import TaskNotFound
from server.registry.names import TaskName
from server.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Loaded:
    """A task whose delta is in a slot, or in host memory alone.

    `pinned` while rows at work keep it in its slot; `rank` is the greatest of its parts'.
    """

    task: str
    on_device: bool
    pinned: bool
    rank: int


def loaded(residency: Residency, registry: Registry) -> list[Loaded]:
    """List the tasks, each once: by its version that is nearest to the device."""
    found: dict[str, Loaded] = {}
    for ref in residency.listed:
        residence = residency.residence(ref)
        if ref.task not in found and residence != "disk":
            found[ref.task] = Loaded(
                ref.task, residence == "device", residency.pinned(ref), _rank(ref, registry)
            )
    return list(found.values())


def _rank(ref: DeltaRef, registry: Registry) -> int:
    try:
        versions = registry.get(TaskName.of(ref.task)).versions
    except TaskNotFound:
        return 0
    return next((version.rank for version in versions if version.ref == ref), 0)

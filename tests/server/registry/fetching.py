"""Deltas brought from a source into a registry."""

from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.sources.sources import Sources
from server.registry.sources.transfer import Bounds
from tests.server.registry.prompts import number_of

BOUNDS = Bounds(1 << 20)


def bring(registry: Registry, source: str, *, private: bool = True, bounds: Bounds = BOUNDS) -> int:
    """Fetch a delta and tell which one it is."""
    sources = Sources(private=private, bounds=bounds)
    found = sources.own(source)
    with registry.stage() as staging:
        found.bring(staging, sources.transfer(found))
        registry.put_staged(shared("spam"), staging)
    return number_of(registry.load(registry.get(shared("spam")).active.ref))

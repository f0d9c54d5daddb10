"""Capacity: how many tokens an engine holds, by its base and its limits."""

from server.engine.limits import Limits
from server.model.base import Base
from server.model.cache import BLOCK, bytes_per_block

_FEWEST = 4
"""Blocks that are needed to try a base out."""


def context_of(base: Base, limits: Limits) -> int:
    """The greatest number of tokens of one sequence: the base's own, or those the cache holds."""
    held = cache_blocks_of(base, limits) * BLOCK
    if base.reads_sources:
        # A source and a text may each be as long.
        held //= 2
    return min(base.spec.context, held or base.spec.context)


def cache_blocks_of(base: Base, limits: Limits) -> int:
    """The blocks of a base's cache; none where nothing is generated."""
    if not base.generates:
        return 0
    return max(_FEWEST, limits.kv_cache_bytes // bytes_per_block(base.spec, base.dtype))

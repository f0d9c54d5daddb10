"""Capacity: how many tokens an engine holds, by its base and its limits."""

from server.engine.limits import Limits
from server.model.base import Base
from server.model.cache import BLOCK, bytes_per_block


def context_of(base: Base, limits: Limits) -> int:
    """The greatest number of tokens of one sequence: the base's own, or those the cache holds."""
    return min(base.spec.context, cache_blocks_of(base, limits) * BLOCK or base.spec.context)


def cache_blocks_of(base: Base, limits: Limits) -> int:
    """The blocks of a base's cache; none where nothing is generated."""
    if not base.generates:
        return 0
    return max(2, limits.kv_cache_bytes // bytes_per_block(base.spec, base.dtype))

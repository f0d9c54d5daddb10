"""Assembly: the core's parts, made by an engine's limits and put together."""

import threading
from collections.abc import Callable

from deltas.delta import DeltaRef
from server.engine.blocks import BlockPool
from server.engine.capacity import cache_blocks_of, context_of
from server.engine.core import Allow, Deliver, EngineCore
from server.engine.encoded import EncodedSources
from server.engine.limits import Limits
from server.engine.prefix_cache import PrefixCache
from server.engine.residency import Residency
from server.engine.scheduler import Scheduler
from server.engine.spill import Spill
from server.engine.turns import Turns
from server.model.cache import BLOCK
from server.model.runner import Runner
from server.registry.registry import Registry


def core_of(
    runner: Runner,
    registry: Registry,
    limits: Limits,
    bell: threading.Event,
    allow: Allow,
    deliver: Deliver,
    loaded: Callable[[DeltaRef, float, float], None],
) -> EngineCore:
    """A core that computes by a runner what a registry has.

    See `EngineCore` for `bell`, `allow` and `deliver`, `Residency` for `loaded`.
    """
    blocks = cache_blocks_of(runner.base, limits)
    pool = BlockPool(blocks, BLOCK) if blocks else None
    residency = Residency(
        runner.wiring,
        limits.max_deltas,
        limits.host_cache_bytes,
        registry.load,
        bell,
        Spill(registry.scratch),
        loaded,
    )
    scheduler = Scheduler(
        residency,
        pool,
        limits.max_batch_tokens,
        limits.max_sequences,
        PrefixCache(pool) if pool is not None and limits.prefix_cache else None,
        Turns(registry.access.weight),
        EncodedSources(pool, limits.prefix_cache) if pool and runner.base.reads_sources else None,
    )
    context = context_of(runner.base, limits)
    return EngineCore(runner, residency, scheduler, context, bell, allow, deliver)

"""Building a server's engine from its settings."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from deltas.errors import PolydeltaError
from deltas.families import FAMILIES
from deltas.families.record import read_record
from server.engine.capacity import context_of
from server.engine.engine import Engine
from server.engine.limits import Limits
from server.engine.templates import Templates
from server.errors import InvalidSettings
from server.model.base import Base, load_base
from server.model.precision import choose_device, choose_dtype
from server.model.source import resolve_base
from server.model.threads import keep_to_one
from server.registry.catalogue.opening import open_database
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.retention import Retention
from server.registry.signatures import Signatures
from server.registry.sources.sources import Sources, origin
from server.registry.sources.template import check_template
from server.registry.sources.transfer import Bounds
from server.registry.store import Store
from server.registry.supply.opening import open_supply
from server.settings import Settings
from server.system.memory import GIGABYTE, memory, resident
from server.system.need import Need, check_need
from server.system.processors import processors

Shown: TypeAlias = Callable[[str, int, int], None]


def _unseen(*_: object) -> None:
    pass


def build_engine(settings: Settings, shown: Shown = _unseen) -> Engine:
    """Load the base, open the store with its tasks and add those that the settings name.

    `shown` is told which of them is being fetched, how many bytes have come, and of how many.
    Raises PolydeltaError saying which setting to mend.
    """
    keep_to_one()
    if settings.resolve is not None:
        check_template(settings.resolve, private=settings.private_sources)
    key = settings.require_signature
    signatures = Signatures(key) if key is not None else None
    base = open_base(settings)
    limits = _limits(settings, base)
    check_need(need_of(base, limits), memory())
    templates = Templates(base.tokenizer.special_tokens_map)
    registry = _open_registry(settings, base, limits, templates, signatures, shown)
    return Engine(base, registry, limits, templates=templates)


def _open_registry(
    settings: Settings,
    base: Base,
    limits: Limits,
    templates: Templates,
    signatures: Signatures | None,
    shown: Shown,
) -> Registry:
    store = Store(settings.store, int(settings.store_gb * GIGABYTE))
    # A delta must leave room not in what the base could hold, but in what this server does.
    spec = replace(base.spec, context=context_of(base, limits))
    retention = Retention(
        settings.keep_versions,
        settings.keep_hours,
        settings.keep_removed_hours,
        settings.audit_days,
    )
    if settings.registry is None and (settings.advertise or settings.blobs):
        raise InvalidSettings(
            "Servers that share a store fetch nothing from elsewhere (--advertise, --blobs); name "
            "the registry that they share instead, --registry postgresql://USER@HOST/DATABASE."
        )
    database = open_database(settings.registry, settings.store)
    supply = None
    if settings.registry:
        try:
            supply = open_supply(store, database, settings.advertise, settings.blobs)
        except PolydeltaError:
            database.close()
            raise
    registry = Registry(
        store,
        spec,
        base.dtype,
        settings.max_tasks,
        templates.vet,
        retention,
        database,
        supply,
        signatures,
        require_keys=settings.require_keys,
    )
    # What the operator names may be as large as what the store takes.
    bounds = Bounds(store.max_bytes, settings.source_timeout)
    sources = Sources(private=settings.private_sources, bounds=bounds, tally=registry.tally)
    for name, source in settings.tasks.items():
        try:
            _put(registry, name, sources, source, shown)
        except PolydeltaError as error:
            raise InvalidSettings(f"The task '{name}' cannot be served: {error}") from error
    registry.follow()
    return registry


def _put(registry: Registry, name: str, sources: Sources, named: str, shown: Shown) -> None:
    source = sources.own(named)
    with registry.stage() as staging:
        source.bring(staging, sources.transfer(source, partial(shown, name)))
        registry.put_staged(shared(name), staging, source=origin(named))


def count_threads(settings: Settings) -> int:
    """Threads that compute a step: as many as the settings say, else as suit the processors."""
    return settings.threads or processors().threads


def need_of(base: Base, limits: Limits) -> Need:
    """What a server over a loaded base will take of the machine's memory."""
    # Other devices keep keys and values in memory of their own, and take it at the start.
    cached = base.generates and base.device.type == "cpu"
    return Need(resident(), limits.kv_cache_bytes if cached else 0, limits.host_cache_bytes)


def _limits(settings: Settings, base: Base) -> Limits:
    return Limits(
        max_batch_tokens=settings.max_batch_tokens or _batch_tokens(base),
        max_sequences=settings.max_sequences,
        max_waiting=settings.max_waiting,
        max_wait=settings.max_wait,
        max_deltas=settings.max_deltas,
        host_cache_bytes=int(settings.host_cache_gb * GIGABYTE),
        kv_cache_bytes=int(settings.kv_cache_gb * GIGABYTE),
        prefix_cache=settings.prefix_cache,
        threads=count_threads(settings),
        control_tokens_in_chats=settings.control_tokens_in_chats,
        control_tokens_in_completions=settings.control_tokens_in_completions,
    )


def _batch_tokens(base: Base) -> int:
    """An encoder's steps may be long: nobody waits in them for a next token."""
    return Limits().max_batch_tokens * (1 if base.generates else 4)


def open_base(settings: Settings) -> Base:
    """Find and load the base that the settings name."""
    source = resolve_base(settings.base, settings.cache)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    record = settings.family_record
    family = None if record is None else read_record(record, FAMILIES)
    base = load_base(source.name, source.directory, dtype, device, family)
    return replace(base, quantize=settings.quantize == "int8", revision=source.revision)

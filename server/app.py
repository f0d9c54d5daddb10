"""The application: an engine behind HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

from server.api.http import problem
from server.api.http.answered import AnsweredBy
from server.api.http.document import PROBLEMS, Documented
from server.api.http.hosts import TrustedHosts
from server.api.http.identity import RequestIds
from server.api.http.intake import Intake
from server.api.http.keys import KeyCheck
from server.api.http.limits import BodyLimits
from server.api.http.origins import TrustedOrigins
from server.api.http.rate_limits import RateLimits
from server.api.rates import RATE_HEADERS, Rates
from server.api.routes import (
    audit,
    batch,
    blobs,
    chat,
    classify,
    completions,
    embed,
    embeddings,
    events,
    generate,
    health,
    hub,
    infer,
    info,
    keys,
    lora,
    metrics,
    models,
    page,
    pause,
    pooling,
    predict,
    rerank,
    responses,
    score,
    server_info,
    tasks,
    tenants,
    tokenize,
    traffic,
    transfers,
    versions,
)
from server.api.scopes import check_declared
from server.api.snapshots import Snapshots
from server.api.transfers import Transfers
from server.api.writes import Writes
from server.engine.engine import Engine
from server.engine.observers import Observers
from server.engine.resolver import Resolver
from server.metrics import Metrics
from server.registry.sources.sources import Sources
from server.registry.sources.transfer import Bounds
from server.registry.tally import Tally
from server.registry.watch import Watch
from server.settings import Settings
from server.traces.setup import traced

_RESOURCES = (
    infer, batch, tasks, versions, traffic, completions, chat, responses, embeddings, models, lora,
    classify, pooling, score, rerank, tokenize, server_info, pause, embed, predict, info, generate,
    hub, page, health, metrics, blobs, events, audit, keys,
    tenants, transfers
)  # fmt: skip


def documented(lifespan: Lifespan[FastAPI] | None = None) -> Documented:
    """All routes with their document, and nothing behind them yet."""
    # A redirect would lead to wherever the request's Host header says.
    app = Documented(
        title="Polydelta", lifespan=lifespan, responses=PROBLEMS, redirect_slashes=False
    )
    for resource in _RESOURCES:
        app.include_router(resource.router)
    check_declared(app.routes)
    return app


def create_app(engine: Engine, settings: Settings, max_requests: int) -> FastAPI:
    """Put an engine behind HTTP; the application starts it, observes it and stops it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await engine.start()
        watch = Watch(engine.registry, settings.watch) if settings.watch else None
        if watch is not None:
            watch.start()
        try:
            yield
        finally:
            if watch is not None:
                await asyncio.to_thread(watch.stop)
            await engine.stop(settings.drain_timeout)
            app.state.writes.close()

    app = documented(lifespan)
    app.state.engine = engine
    app.state.writes = Writes(settings.max_uploads)
    app.state.transfers = Transfers()
    sources = app.state.sources = _sources(settings, engine.registry.tally)
    if settings.resolve:
        engine.finder.resolver = Resolver(engine.registry, sources, settings.resolve)
    app.state.metrics = Metrics(engine)
    app.state.snapshots = Snapshots(engine, app.state.metrics)
    rates = Rates(engine.registry.access)
    engine.observer = Observers(traced(app.state.metrics), rates)
    problem.install(app)
    _guard(app, engine, settings, max_requests, rates)
    return app


def _sources(settings: Settings, tally: Tally) -> Sources:
    bounds = Bounds(settings.max_body_mb << 20, settings.source_timeout)
    return Sources(
        settings.source_roots,
        settings.sources,
        private=settings.private_sources,
        bounds=bounds,
        tally=tally,
    )


def _guard(
    app: FastAPI, engine: Engine, settings: Settings, max_requests: int, rates: Rates
) -> None:
    """Put what refuses requests around an application, the innermost first.

    The outermost gives even a refused request an id.
    """
    app.add_middleware(AnsweredBy)
    app.add_middleware(BodyLimits, max_upload_bytes=settings.max_body_mb << 20)
    app.add_middleware(RateLimits, rates=rates)
    app.add_middleware(KeyCheck, access=engine.registry.access)
    app.add_middleware(Intake, engine=engine, limit=max_requests)
    app.add_middleware(TrustedOrigins, trusted=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "etag",
                "retry-after",
                "x-polydelta-version",
                "x-request-id",
                *RATE_HEADERS,
            ],
        )
    app.add_middleware(TrustedHosts, listening=settings.host, trusted=settings.trusted_hosts)
    app.add_middleware(RequestIds)

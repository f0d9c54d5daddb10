"""The application: an engine behind HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from server.api import (
    batch,
    chat,
    completions,
    embeddings,
    health,
    infer,
    lora,
    metrics,
    models,
    problem,
    tasks,
)
from server.api.identity import RequestIds
from server.api.limits import BodyLimits
from server.engine.engine import Engine
from server.metrics import Metrics
from server.settings import Settings

_RESOURCES = (
    infer, batch, tasks, completions, chat, embeddings, models, lora, health, metrics
)  # fmt: skip
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": problem.ProblemBody, "description": "The request cannot be answered"},
    "5XX": {"model": problem.ProblemBody, "description": "The server cannot answer"},
}


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """Put an engine behind HTTP; the application starts it, observes it and stops it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.stop(settings.drain_timeout)

    # A redirect would lead to wherever the request's Host header says.
    app = FastAPI(title="Polydelta", lifespan=lifespan, responses=_PROBLEMS, redirect_slashes=False)
    app.state.engine = engine
    app.state.source_roots = settings.source_roots
    app.state.metrics = engine.observer = Metrics(engine)
    for resource in _RESOURCES:
        app.include_router(resource.router)
    problem.install(app)
    # The last one added is the outermost: even a refused body has an id.
    app.add_middleware(BodyLimits, max_upload_bytes=settings.max_body_mb << 20)
    app.add_middleware(RequestIds)
    return app

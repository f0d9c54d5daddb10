"""`/health`: whether the server lives, whether it takes requests, and how busy it is."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.dependencies import EngineDep
from server.engine.engine import Engine
from server.errors import EngineDead, ShuttingDown
from server.registry.tally import Counted

router = APIRouter(prefix="/health", tags=["operations"])


class Status(BaseModel):
    """A good sign; bad ones are problems."""

    status: Literal["ok"] = "ok"


class Load(Status):
    """Sequences that run and wait, and the share of the cache in use.

    `revision` is the commit of the hub that the base's files are of, null if they are of none.
    `unserved_folders` are those of the watched directory that are not served as they are now.
    """

    base: str
    revision: str | None
    running: int
    waiting: int
    cache_usage: float
    unserved_folders: int


@router.get("/live")
async def live(engine: EngineDep) -> Status:
    """Tell whether the process should go on; 503 asks for a restart."""
    _check_alive(engine)
    return Status()


@router.get("/ready")
async def ready(engine: EngineDep) -> Status:
    """Tell whether new requests are taken; 503 asks to send them elsewhere."""
    _check_alive(engine)
    if not engine.ready:
        raise ShuttingDown("The server is shutting down; try another one.")
    return Status()


@router.get("")
async def health(engine: EngineDep) -> Load:
    """Tell how busy a living server is."""
    _check_alive(engine)
    stats = engine.stats()
    return Load(
        base=engine.base.name,
        revision=engine.base.revision or None,
        running=stats.running,
        waiting=stats.waiting,
        cache_usage=stats.cache_usage,
        unserved_folders=int(sum(engine.registry.tally.counts(Counted.UNSERVED).values())),
    )


def _check_alive(engine: Engine) -> None:
    if not engine.alive:
        raise EngineDead("The engine has stopped; the server must be restarted.")

"""`/pause`, `/resume` and `/is_paused`: vLLM's way to keep a server from computing for a while."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from server.api.dependencies import EngineDep
from server.engine.pause import PauseMode

router = APIRouter(tags=["vllm"])


class PauseAnswer(BaseModel):
    """What the server does from now on."""

    status: Literal["paused", "resumed"]


class IsPaused(BaseModel):
    """Whether the server is paused."""

    is_paused: bool


@router.post("/pause")
async def pause(
    engine: EngineDep,
    mode: Annotated[PauseMode, Query()] = "abort",
    wait_for_inflight_requests: Annotated[bool, Query(deprecated=True)] = False,
    clear_cache: Annotated[bool, Query(deprecated=True)] = True,
) -> PauseAnswer:
    """Let new requests wait until `/resume`; answers when nothing is computed any more.

    What is under way fails (`abort`), is finished first (`wait`), or rests and goes on afterwards
    (`keep`). Caches stay: they tell versions of a task apart, so nothing in them grows old.
    """
    del clear_cache
    await engine.pause("wait" if wait_for_inflight_requests else mode)
    return PauseAnswer(status="paused")


@router.post("/resume")
async def resume(engine: EngineDep) -> PauseAnswer:
    """Go on."""
    engine.resume()
    return PauseAnswer(status="resumed")


@router.get("/is_paused")
async def is_paused(engine: EngineDep) -> IsPaused:
    """Tell whether the server is paused."""
    return IsPaused(is_paused=engine.paused)

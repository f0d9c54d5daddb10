"""`/v1/load_lora_adapter` and `/v1/unload_lora_adapter`: vLLM's way to change tasks."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import Field

from server.api.checkpoint import IncomingDep
from server.api.dependencies import PutName, RegistryDep
from server.api.fields import fields
from server.api.http.body import Body, BodyRoute
from server.api.writes import WritesDep

router = APIRouter(
    prefix="/v1",
    route_class=BodyRoute,
    tags=["vllm"],
    dependencies=[fields(task="lora_name", source="lora_path")],
)


class LoadBody(Body):
    """A name and the source of a checkpoint of any kind, as the server sees it."""

    lora_name: PutName
    lora_path: Annotated[str, Field(min_length=1, max_length=4096)]
    load_inplace: bool = False


class UnloadBody(Body):
    """A name."""

    lora_name: PutName


@router.post("/load_lora_adapter", response_class=PlainTextResponse)
async def load(body: LoadBody, incoming: IncomingDep) -> PlainTextResponse:
    """Add a task; `load_inplace` allows it to replace another delta of that name."""
    await incoming.put_from(body.lora_path, body.lora_name, if_none_match=not body.load_inplace)
    return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' added successfully.")


@router.post("/unload_lora_adapter", response_class=PlainTextResponse)
async def unload(body: UnloadBody, registry: RegistryDep, writes: WritesDep) -> PlainTextResponse:
    """Remove a task."""
    await writes.run(registry.remove, body.lora_name)
    return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")

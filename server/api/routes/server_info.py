"""`/version` and `/server_info`: what vLLM's clients ask of a server about itself."""

import json
import platform
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from server.api.dependencies import EngineDep
from server.engine.engine import Engine
from server.model.cache import BLOCK

router = APIRouter(tags=["vllm"])


class Version(BaseModel):
    """The version of this server, not of vLLM."""

    version: str


class ServerInfo(BaseModel):
    """The engine's settings under vLLM's names, as an object or as its JSON in a text.

    `vllm_env` is empty: no variable of vLLM's is read.
    """

    vllm_config: dict[str, Any] | str
    vllm_env: dict[str, str] = Field(default_factory=dict[str, str])
    system_env: dict[str, str]


@router.get("/version")
async def show_version() -> Version:
    """Show the server's version."""
    return Version(version=version("polydelta"))


@router.get("/server_info")
async def show_server_info(
    engine: EngineDep, config_format: Annotated[Literal["text", "json"], Query()] = "text"
) -> ServerInfo:
    """Show how the engine is set up."""
    config = _config(engine)
    system = {
        "os": platform.system(),
        "python_version": platform.python_version(),
        "torch_version": version("torch"),
        "transformers_version": version("transformers"),
        "polydelta_version": version("polydelta"),
    }
    shown = config if config_format == "json" else json.dumps(config)
    return ServerInfo(vllm_config=shown, system_env=system)


def _config(engine: Engine) -> dict[str, Any]:
    base, limits = engine.base, engine.limits
    return {
        "model_config": {
            "model": base.name,
            "served_model_name": "base",
            "revision": base.revision or None,
            "dtype": str(base.dtype),
            "max_model_len": engine.context,
            "quantization": "int8" if base.quantize else None,
            "runner_type": "generate" if base.generates else "pooling",
        },
        "cache_config": {
            "block_size": BLOCK,
            "num_gpu_blocks": engine.cache_blocks,
            "enable_prefix_caching": limits.prefix_cache,
        },
        "scheduler_config": {
            "max_num_seqs": limits.max_sequences,
            "max_num_batched_tokens": limits.max_batch_tokens,
        },
        "parallel_config": {
            "tensor_parallel_size": 1,
            "pipeline_parallel_size": 1,
            "data_parallel_size": 1,
        },
        "lora_config": {"max_loras": limits.max_deltas},
        "device_config": {"device": str(base.device)},
    }

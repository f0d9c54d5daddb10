"""`/info`: what text-generation-inference and text-embeddings-inference tell of themselves."""

from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.dependencies import EngineDep
from server.api.inputs import MAX_BATCH

router = APIRouter(tags=["hugging face"])


class Info(BaseModel):
    """The base and what is taken, in the words of both; lengths in tokens.

    `model_type` is there where the base embeds, `model_pipeline_tag` says what it does.
    """

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_pipeline_tag: Literal["text-generation", "feature-extraction"]
    model_type: dict[str, Any] | None
    max_concurrent_requests: int
    max_input_length: int
    max_input_tokens: int
    max_total_tokens: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    router: str
    version: str
    sha: str | None
    docker_label: str | None


@router.get("/info")
async def info(engine: EngineDep) -> Info:
    """Show what is served and within which bounds."""
    base, limits = engine.base, engine.limits
    longest = engine.context - base.generates
    return Info(
        model_id=base.name,
        model_sha=base.revision or None,
        model_dtype=str(base.dtype).removeprefix("torch."),
        model_pipeline_tag="text-generation" if base.generates else "feature-extraction",
        model_type=None if base.generates else {"embedding": {"pooling": "mean"}},
        max_concurrent_requests=limits.max_sequences + limits.max_waiting,
        max_input_length=longest,
        max_input_tokens=longest,
        max_total_tokens=engine.context,
        max_batch_tokens=limits.max_batch_tokens,
        max_client_batch_size=MAX_BATCH,
        auto_truncate=False,
        tokenization_workers=1,
        router="polydelta",
        version=version("polydelta"),
        sha=None,
        docker_label=None,
    )

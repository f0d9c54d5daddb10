"""Embeddings and when they came."""

import time

import httpx2

from server.bench.completion import Timing
from server.bench.errors import BenchError


async def embed(client: httpx2.AsyncClient, model: str, prompts: list[list[int]]) -> list[Timing]:
    """Ask for the embeddings of prompts in one request; raises BenchError if it fails."""
    # As OpenAI's own client asks: numbers as text take longer to write and read than to compute.
    body = {"model": model, "input": prompts, "encoding_format": "base64"}
    start = time.perf_counter()
    try:
        answer = await client.post("/v1/embeddings", json=body)
    except httpx2.HTTPError as error:
        raise BenchError(f"{model}: {type(error).__name__} {error}") from error
    if not answer.is_success:
        raise BenchError(f"{model}: {answer.text}")
    return [Timing([time.perf_counter() - start], 1)] * len(prompts)

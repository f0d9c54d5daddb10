"""Where a server answers, and what its requests carry."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from server.bench.completion import Timing, complete
from server.bench.embedding import embed


@dataclass(frozen=True)
class Endpoint:
    """A server's address, its path of health answers and fields of requests by model.

    `extra` holds what this server wants in a completion beside the common fields.
    """

    url: str
    health: str = "/health/live"
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def body(self, model: str, prompt: list[int], tokens: int) -> dict[str, Any]:
        """The completion that asks `model` for exactly `tokens` tokens after `prompt`, streamed."""
        return {
            "model": model,
            "prompt": prompt,
            "max_tokens": tokens,
            "min_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra.get(model, {}),
        }

    async def ask(
        self, client: httpx2.AsyncClient, model: str, prompts: list[list[int]], tokens: int
    ) -> list[Timing]:
        """Ask for an answer to each prompt and time it; raises BenchError if a request fails."""
        asked = (complete(client, self.body(model, prompt, tokens)) for prompt in prompts)
        return await asyncio.gather(*asked)


class EncoderEndpoint(Endpoint):
    """A server whose base writes no text: it is asked for embeddings."""

    async def ask(
        self, client: httpx2.AsyncClient, model: str, prompts: list[list[int]], tokens: int
    ) -> list[Timing]:
        """Ask for the embeddings of all prompts at once, each of which counts as one token."""
        del tokens
        return await embed(client, model, prompts)

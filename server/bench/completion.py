"""One streamed completion and when its pieces came."""

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import httpx2

from server.bench.errors import BenchError, Refused


@dataclass(frozen=True)
class Timing:
    """When a completion's pieces came, in seconds after its request, and its tokens."""

    arrivals: list[float]
    tokens: int

    @property
    def first(self) -> float:
        """Seconds to the first piece."""
        return self.arrivals[0]

    @property
    def gaps(self) -> list[float]:
        """Seconds between pieces."""
        return [after - before for before, after in pairwise(self.arrivals)]


async def complete(client: httpx2.AsyncClient, body: dict[str, Any]) -> Timing:
    """Ask for a completion of `min_tokens` to `max_tokens` tokens and time what comes.

    Raises Refused if the server has no place, BenchError if the request fails otherwise or another
    number of tokens comes.
    """
    model, least, most = str(body["model"]), int(body["min_tokens"]), int(body["max_tokens"])
    start = time.perf_counter()
    arrivals: list[float] = []
    counted = 0
    try:
        async with client.stream("POST", "/v1/completions", json=body) as r:
            if not r.is_success:
                raise _refusal(model, r, json.loads(await r.aread()))
            async for event in httpx2.EventSource(r):
                if event.data == "[DONE]":
                    break
                chunk = json.loads(event.data)
                counted = _tokens(model, chunk) or counted
                if chunk["choices"]:
                    arrivals.append(time.perf_counter() - start)
    except httpx2.HTTPError as error:
        raise BenchError(f"{model}: {type(error).__name__} {error}") from error
    if not least <= counted <= most:
        raise BenchError(f"{model} wrote {counted} tokens instead of {most}.")
    return Timing(arrivals, counted)


def _tokens(model: str, chunk: dict[str, Any]) -> int | None:
    if "error" in chunk:
        raise _failure(model, chunk)
    usage = chunk.get("usage")
    return usage["completion_tokens"] if usage else None


def _refusal(model: str, response: httpx2.Response, body: dict[str, Any]) -> BenchError:
    failure = _failure(model, body)
    if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return failure
    milliseconds = response.headers.get("retry-after-ms")
    return Refused(str(failure), float(milliseconds or 1000) / 1e3)


def _failure(model: str, body: dict[str, Any]) -> BenchError:
    return BenchError(f"{model}: {body['error']['message']}")

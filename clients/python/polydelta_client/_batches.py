"""Requests for more rows than a server takes at once, in portions that it does take."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from .inputs import BatchRequest, Input

ROWS = 256
"""Inputs times `n` that one request may have."""


def portions(input: Input, n: int) -> list[Input]:
    """Split several texts of `n` rows each; a single text or a chat is a portion of its own."""
    if isinstance(input, str) or (input and not isinstance(input[0], str)):
        return [input]
    texts = cast("Sequence[str]", input)
    size = max(1, ROWS // n)
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def batches(requests: Iterable[BatchRequest]) -> Iterator[list[BatchRequest]]:
    """Split requests, in order and as they are read, each batch as large as may be."""
    batch: list[BatchRequest] = []
    rows = 0
    for request in requests:
        more = _rows(request)
        if batch and rows + more > ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(request)
        rows += more
    if batch:
        yield batch


def choices(parameters: Mapping[str, Any]) -> int:
    """Return how many texts are asked for each input; what is no number the server refuses."""
    n = parameters.get("n")
    return n if isinstance(n, int) and n > 0 else 1


def _rows(request: BatchRequest) -> int:
    several = not isinstance(request[1], str) and request[1] and isinstance(request[1][0], str)
    parameters: Mapping[str, Any] = request[2] if len(request) == 3 else {}
    return (len(request[1]) if several else 1) * choices(parameters)

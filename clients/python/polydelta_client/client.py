"""The blocking client."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

import httpx2

from . import _calls
from ._settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Settings
from ._transport import Transport
from .errors import APIStatusError
from .inputs import BatchRequest, Input, Parameters
from .results import Health, Inference, Model
from .streaming import Stream
from .tasks import Tasks


class Polydelta:
    """A client of one Polydelta server; threads may share it.

    `base_url` falls back to POLYDELTA_BASE_URL, then to http://127.0.0.1:8000, and `api_key` to
    POLYDELTA_API_KEY. `timeout` is in seconds, for each wait on the network; None waits for ever.
    Broken connections, timeouts, and the statuses 408, 429 and 5xx are tried again up to
    `max_retries` times, after the wait that the server asks for or else a growing one.
    An `http_client` of your own (a proxy, certificates, limits) stays yours to close.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | httpx2.Timeout | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        http_client: httpx2.Client | None = None,
    ) -> None:
        settings = Settings.resolve(base_url, api_key, timeout, max_retries)
        self._transport = Transport(settings, http_client)
        self.tasks = Tasks(self._transport)

    def infer(self, task: str, input: Input, **parameters: Unpack[Parameters]) -> Inference:
        """Answer `input`: a text, several texts (one output each), or the messages of a chat."""
        return self._transport.run(_calls.infer(task, input, parameters))

    def stream(self, task: str, input: Input, **parameters: Unpack[Parameters]) -> Stream:
        """Answer `input` piece by piece; for generating tasks."""
        return Stream(self._transport, _calls.stream(task, input, parameters))

    def infer_many(self, requests: Iterable[BatchRequest]) -> list[Inference | APIStatusError]:
        """Answer many requests, `(task, input)` or `(task, input, parameters)`, in one batch.

        Each succeeds or fails by itself: in the place of one that failed stands its error, not
        raised.
        """
        return self._transport.run(_calls.infer_many(requests))

    def models(self) -> list[Model]:
        """Return the base and the tasks on it, as OpenAI clients see them."""
        return self._transport.run(_calls.list_models())

    def health(self) -> Health:
        """Return how busy the server is; raise InternalServerError if it cannot serve."""
        return self._transport.run(_calls.health())

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

"""The blocking client."""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

import httpx2

from . import _calls, _infer
from ._options import split
from ._schema import Schema
from ._settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Settings
from ._transport import Transport
from .access import Change, Key
from .errors import PolydeltaError
from .inference import Inference, ParsedInference
from .inputs import BatchRequest, CallOptions, InferOptions, Input
from .keys import Keys
from .served import Health, Model
from .streaming import Stream
from .tasks import Tasks
from .tenants import Tenants

T = TypeVar("T")


class Polydelta:
    """A client of one Polydelta server; threads may share it.

    `base_url` falls back to POLYDELTA_BASE_URL, then to http://127.0.0.1:8000, and `api_key` to
    POLYDELTA_API_KEY. `timeout` is in seconds, for each wait on the network; None waits for ever.
    Broken connections, timeouts, and the statuses 408, 429 and 5xx are tried again up to
    `max_retries` times, after the wait that the server asks for or else a growing one.
    An `http_client` of your own (a proxy, certificates, limits) stays yours to close.
    Every method takes `timeout`, `max_retries` and `extra_headers` for the one call, and raises
    TypeError for a keyword that it does not know.
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

    @property
    def tasks(self) -> Tasks:
        """The tasks of the server: what is there, and changing it."""
        return Tasks(self._transport)

    @property
    def keys(self) -> Keys:
        """The API keys of the server: who may ask, for operators."""
        return Keys(self._transport)

    @property
    def tenants(self) -> Tenants:
        """The tenants of the server: how much each may use, for operators."""
        return Tenants(self._transport)

    def with_options(self, **options: Unpack[CallOptions]) -> Self:
        """Return a client with other options, on the same connections."""
        client = copy(self)
        client._transport = self._transport.over(options)
        return client

    @overload
    def infer(
        self, task: str, input: Input, *, schema: Schema[T], **options: Unpack[InferOptions]
    ) -> ParsedInference[T]: ...
    @overload
    def infer(
        self, task: str, input: Input, *, schema: None = None, **options: Unpack[InferOptions]
    ) -> Inference: ...
    def infer(
        self,
        task: str,
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> Inference:
        """Answer `input`: a text, several texts (one output each), or the messages of a chat.

        With a `schema`, the text is JSON of that form, and `parsed` of the answer reads it: a JSON
        schema, or a type that pydantic can read (its models, dataclasses, TypedDicts, lists …).
        More texts than a server takes at once are sent in portions; of none nothing is sent.
        """
        parameters, call = split(options)
        plan = _infer.infer(task, input, schema, parameters)
        return self._transport.over(call).carry_out(plan)

    def infer_tasks(
        self,
        tasks: Sequence[str],
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> dict[str, Inference | PolydeltaError]:
        """Answer `input` with each of several tasks at once; return what they give, by task.

        An encoder reads it for all of them in one batch. As with `infer_many` each may fail by
        itself.
        """
        parameters, call = split(options)
        plan = _infer.infer_tasks(tasks, input, schema, parameters)
        return self._transport.over(call).carry_out(plan)

    def stream(
        self,
        task: str,
        input: Input,
        *,
        schema: Schema[Any] | None = None,
        **options: Unpack[InferOptions],
    ) -> Stream:
        """Answer `input` piece by piece; for generating tasks."""
        parameters, call = split(options)
        request = _infer.stream(task, input, schema, parameters)
        return Stream(self._transport.over(call), request)

    def infer_many(
        self, requests: Iterable[BatchRequest], **options: Unpack[CallOptions]
    ) -> list[Inference | PolydeltaError]:
        """Answer many requests, `(task, input)` or `(task, input, parameters)`, in one batch.

        Each succeeds or fails by itself: in the place of one that failed stands its error, not
        raised. What is too much for one batch is sent in several; if a later one fails as a whole,
        its error stands in the place of each of its requests.
        """
        return self._transport.over(options).carry_out(_infer.infer_many(requests))

    def infer_each(
        self, requests: Iterable[BatchRequest], **options: Unpack[CallOptions]
    ) -> Iterator[Inference | PolydeltaError]:
        """Answer requests as they are read, batch by batch, and yield the results in order.

        For more than fits in memory. As with `infer_many` each may fail by itself; a batch that
        fails as a whole raises its error, after all before it was yielded.
        """
        transport = self._transport.over(options)
        for call in _infer.infer_each(requests):
            yield from transport.run(call)

    def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """Return the base and the tasks on it, as OpenAI clients see them."""
        return self._transport.over(options).run(_calls.list_models())

    def key(self, **options: Unpack[CallOptions]) -> Key:
        """Return what the client's key is good for."""
        return self._transport.over(options).run(_calls.own_key())

    def audit(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        task: str | None = None,
        **options: Unpack[CallOptions],
    ) -> list[Change]:
        """Return who changed what, the newest first: of one task, or of all that the key may see.

        At most `limit` changes come, 1000 at once; older ones are `before` the number of the last.
        The key needs the scope "admin".
        """
        return self._transport.over(options).run(_calls.audit(limit, before, task))

    def health(self, **options: Unpack[CallOptions]) -> Health:
        """Return how busy the server is; raise InternalServerError if it cannot serve."""
        return self._transport.over(options).run(_calls.health())

    def request(
        self, method: str, path: str, *, json: object = None, **options: Unpack[CallOptions]
    ) -> httpx2.Response:
        """Send any request and return its answer as it is, read: its JSON, headers and status.

        Errors, retries and the key are as for the other methods.
        """
        return self._transport.over(options).run(_calls.raw(method, path, json))

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

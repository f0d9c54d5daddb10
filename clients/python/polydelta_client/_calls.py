"""Every request that the server understands, and how its answer is read; nothing is sent here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from ._call import Call
from ._decode import decode
from ._failures import element_error, parsed, request_id
from .errors import APIStatusError
from .inputs import BatchRequest, Input, Parameters
from .results import Health, Inference, Model, Task, Version

T = TypeVar("T")


@dataclass(frozen=True)
class _Batch:
    results: list[Any]


@dataclass(frozen=True)
class _Tasks:
    tasks: list[Task]


@dataclass(frozen=True)
class _Versions:
    versions: list[Version]


@dataclass(frozen=True)
class _Models:
    data: list[Model]


def infer(task: str, input: Input, parameters: Parameters) -> Call[Inference]:
    """`POST /v1/infer`."""
    return Call("POST", "/v1/infer", _reads(Inference), json=_body(task, input, parameters))


def stream(task: str, input: Input, parameters: Parameters) -> Call[None]:
    """`POST /v1/infer` with the answer as server-sent events."""
    body = _body(task, input, parameters) | {"stream": True}
    headers = {"accept": "text/event-stream"}
    return Call("POST", "/v1/infer", _nothing, json=body, headers=headers)


def infer_many(requests: Iterable[BatchRequest]) -> Call[list[Inference | APIStatusError]]:
    """`POST /v1/infer/batch`."""
    body = {"requests": [_element(request) for request in requests]}
    return Call("POST", "/v1/infer/batch", _read_batch, json=body)


def put_task(
    name: str, source: str | Path, if_match: str | None, if_none_match: str | None
) -> Call[Task]:
    """`PUT /v1/tasks/{id}`, from a URI or with the files of a directory."""
    conditions = {"if-match": if_match, "if-none-match": if_none_match}
    headers = {key: _etag(value) for key, value in conditions.items() if value is not None}
    path = _task_path(name)
    if isinstance(source, str) and "://" in source:
        return Call("PUT", path, _reads(Task), json={"source": source}, headers=headers)
    return Call("PUT", path, _reads(Task), files=_files(Path(source)), headers=headers)


def list_tasks() -> Call[list[Task]]:
    """`GET /v1/tasks`."""
    return Call("GET", "/v1/tasks", lambda response: _reads(_Tasks)(response).tasks)


def get_task(name: str) -> Call[Task]:
    """`GET /v1/tasks/{id}`."""
    return Call("GET", _task_path(name), _reads(Task))


def delete_task(name: str) -> Call[None]:
    """`DELETE /v1/tasks/{id}`."""
    return Call("DELETE", _task_path(name), _nothing)


def list_versions(name: str) -> Call[list[Version]]:
    """`GET /v1/tasks/{id}/versions`."""
    path = _task_path(name) + "/versions"
    return Call("GET", path, lambda response: _reads(_Versions)(response).versions)


def activate(name: str, version: str) -> Call[Task]:
    """`POST /v1/tasks/{id}/activate`."""
    return Call("POST", _task_path(name) + "/activate", _reads(Task), json={"version": version})


def list_models() -> Call[list[Model]]:
    """`GET /v1/models`."""
    return Call("GET", "/v1/models", lambda response: _reads(_Models)(response).data)


def health() -> Call[Health]:
    """`GET /health`."""
    return Call("GET", "/health", _reads(Health))


def _body(task: str, input: Input, parameters: Mapping[str, object]) -> dict[str, Any]:
    given = {key: value for key, value in parameters.items() if value is not None}
    salt = given.pop("cache_salt", None)
    body = {"task": task, "input": input, "parameters": given}
    return body if salt is None else body | {"cache_salt": salt}


def _element(request: BatchRequest) -> dict[str, Any]:
    return _body(request[0], request[1], request[2] if len(request) == 3 else {})


def _reads(wanted: type[T]) -> Callable[[httpx2.Response], T]:
    return lambda response: decode(wanted, parsed(response))


def _nothing(_response: httpx2.Response) -> None:
    """Read an answer that says nothing beyond its status."""


def _read_batch(response: httpx2.Response) -> list[Inference | APIStatusError]:
    results = _reads(_Batch)(response).results
    name = request_id(response)
    return [element_error(result, name) or decode(Inference, result) for result in results]


def _task_path(name: str) -> str:
    if not name.strip("."):
        raise ValueError(f"not the name of a task: {name!r}")
    return f"/v1/tasks/{quote(name, safe='')}"


def _etag(value: str) -> str:
    return value if value == "*" else f'"{value}"'


def _files(directory: Path) -> list[Path]:
    files = sorted(
        path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise FileNotFoundError(f"no files in {directory}")
    return files

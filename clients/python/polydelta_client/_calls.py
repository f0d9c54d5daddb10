"""Requests about what a server has, and how their answers are read; nothing is sent here."""

from dataclasses import dataclass
from urllib.parse import quote

import httpx2

from ._call import Call
from ._files import files_of
from ._reading import answer, nothing, reads
from .inputs import Source
from .served import Health, Model, Task, Version


@dataclass(frozen=True)
class _Tasks:
    tasks: list[Task]


@dataclass(frozen=True)
class _Versions:
    versions: list[Version]


@dataclass(frozen=True)
class _Models:
    data: list[Model]


def put_task(
    name: str,
    source: Source,
    ttl: float | None,
    if_match: str | None,
    if_none_match: str | None,
) -> Call[Task]:
    """`PUT /v1/tasks/{id}`, from a URI or with the files of a checkpoint."""
    headers = _conditions(if_match, if_none_match)
    path, read = _task_path(name) + (f"?ttl_seconds={ttl}" if ttl is not None else ""), answer(Task)
    if isinstance(source, str) and "://" in source:
        return Call("PUT", path, read, json={"source": source}, headers=headers)
    return Call("PUT", path, read, files=files_of(source), headers=headers)


def list_tasks() -> Call[list[Task]]:
    """`GET /v1/tasks`."""
    return Call("GET", "/v1/tasks", lambda response: reads(_Tasks)(response).tasks)


def get_task(name: str) -> Call[Task]:
    """`GET /v1/tasks/{id}`."""
    return Call("GET", _task_path(name), answer(Task))


def delete_task(name: str, if_match: str | None, *, forever: bool) -> Call[None]:
    """`DELETE /v1/tasks/{id}`."""
    path = _task_path(name) + ("?forever=true" if forever else "")
    return Call("DELETE", path, nothing, headers=_conditions(if_match))


def list_versions(name: str) -> Call[list[Version]]:
    """`GET /v1/tasks/{id}/versions`."""
    path = f"{_task_path(name)}/versions"
    return Call("GET", path, lambda response: reads(_Versions)(response).versions)


def activate(name: str, version: str | int, if_match: str | None) -> Call[Task]:
    """`POST /v1/tasks/{id}/activate`."""
    path = f"{_task_path(name)}/activate"
    headers = _conditions(if_match)
    return Call("POST", path, answer(Task), json={"version": version}, headers=headers)


def put_alias(
    name: str, alias: str, version: str | int, if_match: str | None
) -> Call[list[Version]]:
    """`PUT /v1/tasks/{id}/aliases/{alias}`."""
    return Call(
        "PUT",
        _alias_path(name, alias),
        lambda response: reads(_Versions)(response).versions,
        json={"version": version},
        headers=_conditions(if_match),
    )


def delete_alias(name: str, alias: str, if_match: str | None) -> Call[None]:
    """`DELETE /v1/tasks/{id}/aliases/{alias}`."""
    return Call("DELETE", _alias_path(name, alias), nothing, headers=_conditions(if_match))


def list_models() -> Call[list[Model]]:
    """`GET /v1/models`."""
    return Call("GET", "/v1/models", lambda response: reads(_Models)(response).data)


def health() -> Call[Health]:
    """`GET /health`."""
    return Call("GET", "/health", answer(Health))


def raw(method: str, path: str, json: object) -> Call[httpx2.Response]:
    """Any request, and its answer as it is."""
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /, such as /v1/models: {path!r}")
    return Call(method, path, lambda response: response, json=json)


def _task_path(name: str) -> str:
    if not name.strip("."):
        raise ValueError(f"not the name of a task: {name!r}")
    return f"/v1/tasks/{quote(name, safe='')}"


def _alias_path(name: str, alias: str) -> str:
    return f"{_task_path(name)}/aliases/{quote(alias, safe='')}"


def _conditions(if_match: str | None, if_none_match: str | None = None) -> dict[str, str]:
    conditions = {"if-match": if_match, "if-none-match": if_none_match}
    return {key: _etag(value) for key, value in conditions.items() if value is not None}


def _etag(value: str) -> str:
    return value if value == "*" else f'"{value}"'

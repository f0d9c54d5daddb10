"""Requests about what a server has, and how their answers are read; nothing is sent here."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import httpx2

from ._call import Call
from ._files import files_of
from ._reading import answer, listed, nothing
from .access import Change, Key, KnownKey, Limits, MadeKey, Tenant
from .inputs import Source
from .served import Health, Model, Task, Transfer, Version
from .traffic import StepBack, Traffic


def put_task(
    name: str,
    source: Source,
    ttl: float | None,
    if_match: str | None,
    if_none_match: str | None,
    *,
    activate: bool | None,
) -> Call[Task]:
    """`PUT /v1/tasks/{id}`, from a URI or with the files of a checkpoint."""
    headers = _conditions(if_match, if_none_match)
    told = {"ttl_seconds": ttl, "activate": None if activate is None else str(activate).lower()}
    query = urlencode({key: value for key, value in told.items() if value is not None})
    path, read = _task_path(name) + (f"?{query}" if query else ""), answer(Task)
    if isinstance(source, str) and "://" in source:
        return Call("PUT", path, read, json={"source": source}, headers=headers)
    return Call("PUT", path, read, files=files_of(source), headers=headers)


def list_tasks() -> Call[list[Task]]:
    """`GET /v1/tasks`."""
    return Call("GET", "/v1/tasks", listed("tasks", Task))


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
    return Call("GET", path, listed("versions", Version))


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
        listed("versions", Version),
        json={"version": version},
        headers=_conditions(if_match),
    )


def delete_alias(name: str, alias: str, if_match: str | None) -> Call[None]:
    """`DELETE /v1/tasks/{id}/aliases/{alias}`."""
    return Call("DELETE", _alias_path(name, alias), nothing, headers=_conditions(if_match))


def traffic(name: str) -> Call[Traffic]:
    """`GET /v1/tasks/{id}/traffic`."""
    return Call("GET", _traffic_path(name), answer(Traffic))


def set_traffic(
    name: str,
    shares: Mapping[str | int, int],
    shadow: str | int | None,
    step_back: StepBack | None,
    if_match: str | None,
) -> Call[Traffic]:
    """`PUT /v1/tasks/{id}/traffic`."""
    body = {str(which): share for which, share in shares.items()}
    for which in ("shadow", "step_back"):
        if which in body:
            raise ValueError(f"not for a share: {which!r}; name the version by its number")
    body = {**body, "shadow": shadow, "step_back": step_back}
    headers = _conditions(if_match)
    return Call("PUT", _traffic_path(name), answer(Traffic), json=body, headers=headers)


def end_traffic(name: str, if_match: str | None) -> Call[None]:
    """`DELETE /v1/tasks/{id}/traffic`."""
    return Call("DELETE", _traffic_path(name), nothing, headers=_conditions(if_match))


def list_transfers() -> Call[list[Transfer]]:
    """`GET /v1/transfers`."""
    return Call("GET", "/v1/transfers", listed("transfers", Transfer))


def list_models() -> Call[list[Model]]:
    """`GET /v1/models`."""
    return Call("GET", "/v1/models", listed("data", Model))


def own_key() -> Call[Key]:
    """`GET /v1/keys/self`."""
    return Call("GET", "/v1/keys/self", answer(Key))


def list_keys() -> Call[list[KnownKey]]:
    """`GET /v1/keys`."""
    return Call("GET", "/v1/keys", listed("keys", KnownKey))


def add_key(name: str, tenant: str, scopes: Sequence[str], days: float | None) -> Call[MadeKey]:
    """`POST /v1/keys`."""
    body = {"name": name, "tenant": tenant, "scopes": list(scopes), "days": days}
    return Call("POST", "/v1/keys", answer(MadeKey), json=body)


def revoke_key(name: str) -> Call[None]:
    """`DELETE /v1/keys/{id}`."""
    return Call("DELETE", f"/v1/keys/{_segment(name, 'key')}", nothing)


def list_tenants() -> Call[list[Tenant]]:
    """`GET /v1/tenants`."""
    return Call("GET", "/v1/tenants", listed("tenants", Tenant))


def limit_tenant(name: str, limits: Limits) -> Call[Tenant]:
    """`PATCH /v1/tenants/{id}`."""
    return Call("PATCH", f"/v1/tenants/{_segment(name, 'tenant')}", answer(Tenant), json=limits)


def audit(limit: int, before: int | None, task: str | None) -> Call[list[Change]]:
    """`GET /v1/audit`."""
    told = {"limit": limit, "before": before, "task": task}
    query = urlencode({key: value for key, value in told.items() if value is not None})
    return Call("GET", f"/v1/audit?{query}", listed("entries", Change))


def health() -> Call[Health]:
    """`GET /health`."""
    return Call("GET", "/health", answer(Health))


def raw(method: str, path: str, json: object) -> Call[httpx2.Response]:
    """Any request, and its answer as it is."""
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /, such as /v1/models: {path!r}")
    return Call(method, path, lambda response: response, json=json)


def _task_path(name: str) -> str:
    return f"/v1/tasks/{_segment(name, 'task')}"


def _segment(name: str, what: str) -> str:
    if not name.strip("."):
        raise ValueError(f"not the name of a {what}: {name!r}")
    return quote(name, safe="")


def _alias_path(name: str, alias: str) -> str:
    return f"{_task_path(name)}/aliases/{quote(alias, safe='')}"


def _traffic_path(name: str) -> str:
    return f"{_task_path(name)}/traffic"


def _conditions(if_match: str | None, if_none_match: str | None = None) -> dict[str, str]:
    conditions = {"if-match": if_match, "if-none-match": if_none_match}
    return {key: _etag(value) for key, value in conditions.items() if value is not None}


def _etag(value: str) -> str:
    return value if value == "*" else f'"{value}"'

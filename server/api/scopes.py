"""Scopes: what a key must be good for, on every route there is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from starlette.routing import BaseRoute, Route, compile_path

from server.registry.keys import Key, Scope
from server.registry.names import SHARED

_INFER = """
POST /  POST /models/{name}  POST /classify  POST /pooling  POST /score  POST /v1/score
POST /rerank  POST /v1/rerank  POST /v2/rerank  POST /tokenize  POST /detokenize
POST /embed  POST /predict  POST /generate  POST /generate_stream
POST /v1/infer  POST /v1/infer/batch  POST /v1/completions  POST /v1/chat/completions
POST /v1/responses  POST /v1/embeddings
"""
_OWN = "GET /v1/keys/self"
_NAMES = "GET /v1/models  GET /v1/models/{name}  GET /info  GET /version"
_READ = """
GET /v1/tasks  GET /v1/tasks/{name}  GET /v1/tasks/{name}/versions  GET /v1/tasks/{name}/card
GET /v1/tasks/{name}/traffic  GET /v1/transfers
GET /is_paused  GET /docs  GET /docs/oauth2-redirect  GET /redoc  GET /openapi.json
"""
_WRITE = """
PUT /v1/tasks/{name}  DELETE /v1/tasks/{name}  POST /v1/tasks/{name}/activate
PUT /v1/tasks/{name}/aliases/{alias}  DELETE /v1/tasks/{name}/aliases/{alias}
PUT /v1/tasks/{name}/traffic  DELETE /v1/tasks/{name}/traffic
POST /v1/load_lora_adapter  POST /v1/unload_lora_adapter
"""
_ADMIN = "GET /v1/audit"
_OPERATORS_READ = "GET /metrics  GET /server_info  GET /v1/events"
_OPERATORS = """
POST /pause  POST /resume
GET /v1/keys  POST /v1/keys  DELETE /v1/keys/{name}  GET /v1/tenants  PATCH /v1/tenants/{name}
"""
# Servers of a registry show each other a secret of their own for blobs.
_OPEN = """
GET /health  GET /health/live  GET /health/ready  GET /  GET /page/{path:path}
GET /v1/blobs/{digest}/{name}
"""

Place: TypeAlias = tuple[str, str]
"""A method and a path, as routes write it."""


@dataclass(frozen=True, slots=True)
class Need:
    """One of some scopes, none if the route is open; `operators` means keys of no tenant alone."""

    scopes: tuple[Scope, ...] = ()
    operators: bool = False

    def allows(self, key: Key) -> bool:
        """Whether a key is enough."""
        if self.operators and key.tenant != SHARED:
            return False
        return any(map(key.allows, self.scopes))


def _listed(text: str) -> list[Place]:
    words = iter(text.split())
    return list(zip(words, words, strict=True))


NEEDS = {
    **dict.fromkeys(_listed(_INFER), Need((Scope.INFER,))),
    **dict.fromkeys(_listed(_OWN), Need(tuple(Scope))),
    **dict.fromkeys(_listed(_NAMES), Need((Scope.INFER, Scope.READ))),
    **dict.fromkeys(_listed(_READ), Need((Scope.READ,))),
    **dict.fromkeys(_listed(_WRITE), Need((Scope.WRITE,))),
    **dict.fromkeys(_listed(_ADMIN), Need((Scope.ADMIN,))),
    **dict.fromkeys(_listed(_OPERATORS_READ), Need((Scope.READ,), operators=True)),
    **dict.fromkeys(_listed(_OPERATORS), Need((Scope.ADMIN,), operators=True)),
    **dict.fromkeys(_listed(_OPEN), Need()),
}

_PATTERNS = [
    (method, compile_path(path)[0], need) for (method, path), need in NEEDS.items() if "{" in path
]


def need_of(method: str, path: str) -> Need | None:
    """What a request needs, None where no route takes it."""
    method = "GET" if method == "HEAD" else method
    exact = NEEDS.get((method, path))
    if exact is not None:
        return exact
    found = (need for own, form, need in _PATTERNS if own == method and form.match(path))
    return next(found, None)


def places_of(routes: Iterable[BaseRoute]) -> Iterator[Place]:
    """Where routes are, those of included routers, too."""
    for route in routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or () if method != "HEAD")
        else:
            yield from places_of(getattr(route, "original_router").routes)  # noqa: B009


def check_declared(routes: Iterable[BaseRoute]) -> None:
    """Raise ValueError unless it is declared of exactly these routes what they need."""
    different = set(places_of(routes)).symmetric_difference(NEEDS)
    if different:
        shown = ", ".join(f"{method} {path}" for method, path in sorted(different))
        raise ValueError(f"What scope is needed must be declared in server/api/scopes.py: {shown}.")

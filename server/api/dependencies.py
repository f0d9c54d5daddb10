"""Dependencies: what routes are given beside their bodies.

None of them waits, and still they are coroutines: others run on another thread, request by request.
"""

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from server.api.http.keys import Permit
from server.engine.engine import Engine
from server.errors import Forbidden
from server.metrics import Metrics
from server.registry.access import Access
from server.registry.keys import Key
from server.registry.names import MAX_REFERENCE, PLAIN_NAME, SHARED, is_plain, rule_broken
from server.registry.namespace import Namespace
from server.registry.sources.sources import Sources
from server.registry.version import BASE_NAME


async def _engine(request: Request) -> Engine:
    return request.app.state.engine


async def _metrics(request: Request) -> Metrics:
    return request.app.state.metrics


EngineDep: TypeAlias = Annotated[Engine, Depends(_engine)]
MetricsDep: TypeAlias = Annotated[Metrics, Depends(_metrics)]


def key_of(request: Request) -> Key | None:
    """The key that a request came with, if there are keys."""
    return getattr(request.state, "key", None)


async def _namespace(request: Request, engine: EngineDep) -> Namespace:
    key = key_of(request)
    if key is None:
        return Namespace(engine.registry, SHARED)
    return Namespace(engine.registry, key.tenant, key.name)


RegistryDep: TypeAlias = Annotated[Namespace, Depends(_namespace)]
"""The registry as the caller's tenant sees it: whatever a request names is looked for here."""


async def _access(engine: EngineDep) -> Access:
    return engine.registry.access


AccessDep: TypeAlias = Annotated[Access, Depends(_access)]


async def _operator(request: Request, access: AccessDep) -> str:
    key = key_of(request)
    if key is None:
        raise Forbidden(
            "Keys and limits are changed with a key of the scope admin; the first one is made on "
            "the registry's machine (polydelta key add NAME --scopes admin)."
        )
    # The key was looked at before the body came, which may take as long as its sender likes.
    Permit(access, request.scope).check()
    return key.name


OperatorDep: TypeAlias = Annotated[str, Depends(_operator)]
"""The name of the key with which somebody changes who may ask; without keys nobody may."""


async def _sources(request: Request) -> Sources:
    return request.app.state.sources


SourcesDep: TypeAlias = Annotated[Sources, Depends(_sources)]
"""What requests may have deltas taken from."""


def _check_name(name: str) -> str:
    if not is_plain(name):
        raise PydanticCustomError("name", "{rule}", {"rule": rule_broken(name)})
    return name


def _check_reference(name: str) -> str:
    _check_name(name.partition("@")[0])
    return name


_FORM: dict[str, Any] = {"type": "string", "pattern": f"^{PLAIN_NAME}$"}

PlainName: TypeAlias = Annotated[str, AfterValidator(_check_name), WithJsonSchema(_FORM)]
PutName: TypeAlias = Annotated[PlainName, WithJsonSchema({**_FORM, "not": {"const": BASE_NAME}})]
TaskId: TypeAlias = Annotated[PutName, Path()]
Reference: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=MAX_REFERENCE),
    AfterValidator(_check_reference),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{PLAIN_NAME}(@.+)?$", "maxLength": MAX_REFERENCE}
    ),
]
ModelId: TypeAlias = Annotated[Reference, Path()]
"""A task or one of its versions, and the base, which can be shown and not changed."""

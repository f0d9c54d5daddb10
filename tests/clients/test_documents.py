"""The client's documents promise what the server does, and no more."""

import re
from pathlib import Path

import polydelta_client
from polydelta_client import Parameters
from server.api.routes import (
    audit,
    batch,
    health,
    infer,
    keys,
    models,
    tasks,
    tenants,
    traffic,
    transfers,
    versions,
)
from server.api.routes.infer import InferBody, InferParameters

CLIENT = Path(polydelta_client.__file__).parents[1]
README = (CLIENT / "README.md").read_text()
TEXTS = [README, *(file.read_text() for file in CLIENT.rglob("*.py"))]


def test_sources_are_those_that_are_fetched() -> None:
    schemes = {scheme for text in TEXTS for scheme in re.findall(r"\b(\w+)://", text)}
    assert schemes == {"http", "https", "file"}


def test_every_call_has_a_route_that_answers_it() -> None:
    modules = (
        audit,
        batch,
        health,
        infer,
        keys,
        models,
        tasks,
        tenants,
        traffic,
        transfers,
        versions,
    )
    routers = [module.router for module in modules]
    served = {
        f"{method} {getattr(route, 'path', '')}".replace("{name}", "{id}")
        for router in routers
        for route in router.routes
        for method in getattr(route, "methods", ())
    }
    called = {call for text in TEXTS for call in re.findall(r'"""`([A-Z]+ /[^`]+)`', text)}
    assert len(called) >= 8
    assert called <= served


def test_every_parameter_is_one_of_the_servers() -> None:
    known = set(InferParameters.model_fields) | {"cache_salt"}
    assert "cache_salt" in InferBody.model_fields
    assert set(Parameters.__annotations__) <= known

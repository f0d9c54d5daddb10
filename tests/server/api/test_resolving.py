"""Tasks that nobody has put are looked for, whichever route they are asked through."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.file_server import FileServer, serving_files
from tests.server.api.hostile import Document, Schema
from tests.server.api.live import Live, serving

CHANGING = {"/v1/tasks/", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"}
"""Where tasks are changed, and not asked."""

WITHOUT = {"/pause", "/v1/keys", "/v1/tenants"}
"""Those of other routes that take a body and name no task."""


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with serving_files() as files:
        yield files


@pytest.fixture(scope="module")
def resolving(
    files: FileServer, decoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    resolve = f"{files.url}/resolved/{{task}}/"
    folder = tmp_path_factory.mktemp("resolving")
    with serving(decoder, folder, resolve=resolve, private_sources=True, drain_timeout=0) as live:
        yield live


def asking(value: Any, task: str) -> Any:
    """A body that asks another task than the base."""
    if isinstance(value, list):
        return [asking(each, task) for each in value]
    if isinstance(value, dict):
        return {
            key: task if key in ("task", "model") else asking(each, task)
            for key, each in value.items()
        }
    return value


def bodies(live: Live) -> Iterator[tuple[str, dict[str, Any]]]:
    """A path and a body for each route that may ask a task, and each form that its body has."""
    document = Document(live.http.get("/openapi.json").json())
    for _, path, schema in document.routes():
        if not any(path.startswith(each) for each in CHANGING | WITHOUT):
            for form in document.forms(schema):
                yield path, sample(document, form)


def sample(document: Document, form: Schema) -> dict[str, Any]:
    named = {"model": "base"} if "model" in form["properties"] else {}
    body = named | document.sample(form)
    # Nothing is computed, and not every route calls it so.
    body.pop("max_tokens", None)
    return body


def test_every_route_that_asks_a_task_looks_for_it(resolving: Live, files: FileServer) -> None:
    paths: set[str] = set()
    for at, (path, body) in enumerate(bodies(resolving)):
        task = f"task-{at}"
        answer = resolving.post(path.replace("{name}", task), **asking(body, task))
        looked = files.asked_for(f"/resolved/{task}/delta.json")
        assert len(looked) == 1, (path, body, answer.text)
        paths.add(path)
    assert {"/v1/infer", "/v1/chat/completions", "/v1/embeddings", "/tokenize", "/score"} <= paths


def test_what_is_found_answers_through_routes_that_look_at_it_first(
    resolving: Live, files: FileServer
) -> None:
    folder = resolving.write("found", samples.generator("lora", resolving.spec))
    ranker = resolving.write("ranker", samples.classifier(resolving.spec, ("good",)))
    for name, source in (("a", folder), ("b", folder), ("c", folder), ("d", ranker)):
        files.put(f"/resolved/{name}", source)
    for path, body in (
        ("/tokenize", {"model": "a", "prompt": "x"}),
        ("/detokenize", {"model": "b", "tokens": [5]}),
        ("/models/c", {"inputs": "x"}),
        ("/rerank", {"model": "d", "query": "x", "documents": ["y"]}),
    ):
        answer = resolving.post(path, **body)
        assert answer.status_code == 200, (path, answer.text)

"""Tasks, models and health."""

from pathlib import Path

import pytest

from polydelta_client import (
    ConflictError,
    Health,
    Model,
    NotFoundError,
    Polydelta,
    PreconditionFailedError,
    Version,
)

from .answers import health, task, version
from .server import Reply, ScriptedServer, answer, problem


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_bytes(b"{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_a_directory_is_uploaded(
    checkpoint: Path, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(task("spam"), 201))
    added = client.tasks.put("spam", checkpoint)
    assert (added.id, added.labels, added.resident) == ("spam", ["ham", "spam"], "device")
    sent = server.received[0]
    assert (sent.method, sent.path) == ("PUT", "/v1/tasks/spam")
    assert sent.files == {
        "adapter_config.json": b"{}",
        "adapter_model.safetensors": bytes(range(256)) * 1000,
    }


def test_an_upload_is_tried_again_in_full(
    checkpoint: Path, client: Polydelta, server: ScriptedServer
) -> None:
    server.script(problem(503, "shutting_down", "later", retry_after="0"), answer(task("spam")))
    client.tasks.put("spam", str(checkpoint))
    first, second = server.received
    assert first.files == second.files != {}


def test_a_uri_is_named_not_read(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(task("spam"), 201))
    client.tasks.put("spam", "hf://acme/spam-lora", if_match="0123456789ab")
    sent = server.received[0]
    assert sent.json == {"source": "hf://acme/spam-lora"}
    assert sent.headers["if-match"] == '"0123456789ab"'


def test_conditions(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(409, "conflict", "other digest", x_should_retry="false"))
    with pytest.raises(ConflictError):
        client.tasks.put("spam", "file:///deltas/spam", if_none_match="*")
    assert server.received[0].headers["if-none-match"] == "*"
    server.script(problem(412, "precondition_failed", "stale"))
    with pytest.raises(PreconditionFailedError):
        client.tasks.put("spam", "file:///deltas/spam", if_match="0123456789ab")


def test_sources_that_hold_nothing(tmp_path: Path, client: Polydelta) -> None:
    with pytest.raises(FileNotFoundError, match="no files in"):
        client.tasks.put("spam", tmp_path)
    with pytest.raises(FileNotFoundError):
        client.tasks.put("spam", tmp_path / "missing")


def test_list_get_and_delete(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"tasks": [task("spam"), task("topic")]}), answer(task("spam")))
    server.script(Reply([], 204))
    assert [listed.id for listed in client.tasks.list()] == ["spam", "topic"]
    assert client.tasks.get("spam").versions[0].version == "0123456789ab"
    client.tasks.delete("spam")
    assert [(sent.method, sent.path) for sent in server.received] == [
        ("GET", "/v1/tasks"),
        ("GET", "/v1/tasks/spam"),
        ("DELETE", "/v1/tasks/spam"),
    ]


def test_versions_and_activate(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"versions": [version("a"), version("b")]}), answer(task("spam")))
    assert client.tasks.versions("spam")[1] == Version("b", "bb", "lora", 9, 1.5)
    assert client.tasks.activate("spam", "b").id == "spam"
    sent = server.received[1]
    assert (sent.method, sent.path) == ("POST", "/v1/tasks/spam/activate")
    assert sent.json == {"version": "b"}


def test_names_stay_inside_their_path(client: Polydelta, server: ScriptedServer) -> None:
    server.script(problem(404, "task_not_found", "no task"))
    with pytest.raises(NotFoundError):
        client.tasks.get("../models?x=1")
    assert server.received[0].path == "/v1/tasks/..%2Fmodels%3Fx%3D1"
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="not the name of a task"):
            client.tasks.delete(name)


def test_models_and_health(client: Polydelta, server: ScriptedServer) -> None:
    listed = {"id": "spam", "object": "model", "created": 1, "owned_by": "polydelta"}
    served = {"root": "spam", "parent": "base", "max_model_len": 2048}
    server.script(answer({"object": "list", "data": [listed | served]}))
    server.script(answer(health()))
    assert client.models() == [Model("spam", 1, "polydelta", "spam", "base", 2048)]
    assert client.health() == Health("ok", "smollm2", 2, 1, 0.5)

"""Tasks, models and health."""

import io
import os
from pathlib import Path

import pytest

from polydelta_client import (
    ConflictError,
    Health,
    Model,
    NotFoundError,
    Polydelta,
    PreconditionFailedError,
)

from .answers import health, task
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
    with pytest.raises(FileNotFoundError, match="neither a file nor a directory"):
        client.tasks.put("spam", tmp_path / "missing")
    with pytest.raises(ValueError, match="no files"):
        client.tasks.put("spam", {})


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


def test_a_single_file(checkpoint: Path, client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(task("spam"), 201), answer(task("spam"), 201))
    client.tasks.put("spam", checkpoint / "adapter_config.json")
    with (checkpoint / "adapter_config.json").open("rb") as file:
        client.tasks.put("spam", file)
    assert [sent.files for sent in server.received] == [{"adapter_config.json": b"{}"}] * 2


def test_what_is_in_memory(checkpoint: Path, client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(task("spam"), 201), answer(task("spam"), 201), answer(task("spam"), 201))
    client.tasks.put("spam", b"weights")
    client.tasks.put("spam", io.BytesIO(b"weights"))
    path = checkpoint / "adapter_config.json"
    client.tasks.put("spam", {"a": b"1", "b": io.BytesIO(b"2"), "c": path})
    named = {"adapter_model.safetensors": b"weights"}
    together = {"a": b"1", "b": b"2", "c": b"{}"}
    assert [sent.files for sent in server.received] == [named, named, together]


def test_a_file_that_is_read_once_is_still_tried_again(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(problem(503, "shutting_down", "later", retry_after="0"), answer(task("spam")))
    reading, writing = os.pipe()
    os.write(writing, b"weights")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        client.tasks.put("spam", {"weights": pipe})
    assert [sent.files for sent in server.received] == [{"weights": b"weights"}] * 2


def test_the_home_directory(
    checkpoint: Path, client: Polydelta, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    server.script(answer(task("spam"), 201))
    client.tasks.put("spam", f"~/{checkpoint.name}")
    assert len(server.received[0].files) == 2


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

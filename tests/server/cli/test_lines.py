"""Every flag has a variable and a line in polydelta.toml; the nearest of them wins."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from server.cli.root import app
from server.settings import OTHER_LINES, Settings
from tests.server.cli.conftest import Polydelta

FILE = Path("polydelta.toml")
ALONE = ("help", "version", "install_completion", "show_completion")
"""Flags beside which nothing else is done."""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def flags(command: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every flag of every command: where it is, and its line's name."""
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from flags(each, f"{path} {name}")
    if isinstance(command, TyperCommand | TyperGroup):
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name not in ALONE:
                line = str(parameter.envvar or parameter.name).removeprefix("POLYDELTA_").lower()
                yield f"{path} {parameter.opts[0]}", line


def test_every_flag_has_a_line() -> None:
    found = dict(flags(typer.main.get_command(app)))
    known = OTHER_LINES | Settings.model_fields.keys()
    assert len(found) > 50
    assert {flag: line for flag, line in found.items() if line not in known} == {}


@pytest.mark.usefixtures("at_server")
def test_a_flag_beats_the_variable_which_beats_the_line(
    polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("infer", "base", "The meeting")
    whole = polydelta(*asked, "--max-tokens", "9").out
    FILE.write_text('max_tokens = 3\noutput = "json"\nmax_deltas = 4')

    def told(*more: str) -> int:
        return json.loads(polydelta(*asked, *more).out)["usage"]["completion_tokens"]

    assert told() == 3
    monkeypatch.setenv("POLYDELTA_MAX_TOKENS", "6")
    assert told() == 6
    assert told("--max-tokens", "9") == 9
    assert polydelta(*asked, "--max-tokens", "9", "--output", "text").out == whole


def test_lines_reach_the_commands_of_groups(polydelta: Polydelta, url: str) -> None:
    FILE.write_text(f'base_url = "{url}"\noutput = "json"')
    assert [task["id"] for task in json.loads(polydelta("task", "ls").out)] == ["spam"]


def test_lines_reach_the_flags_of_groups(polydelta: Polydelta) -> None:
    FILE.write_text('bench_kinds = "base"')
    assert "--kinds base mixes nothing" in polydelta("bench").err


def test_a_list_is_a_repeated_flag(polydelta: Polydelta) -> None:
    FILE.write_text('base = "x"\nkind = "lora"\ndata = ["a", "b"]\nout = "o"\noption = ["rnak=4"]')
    assert "no option 'rnak'" in polydelta("train").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_tokenz = 3", "error: These lines belong to no flag: max_tokenz."),
        ("max_tokens", "error: polydelta.toml cannot be read"),
        ('max_tokens = "few"', "Invalid value for '--max-tokens'"),
    ],
)
def test_a_line_that_does_not_fit_is_named(polydelta: Polydelta, text: str, message: str) -> None:
    FILE.write_text(text)
    result = polydelta("infer", "base", "hello")
    assert result.code > 0
    assert message in result.err


def test_another_file_can_be_named(polydelta: Polydelta, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.toml").write_text('base_url = "nowhere"')
    monkeypatch.setenv("POLYDELTA_CONFIG", "other.toml")
    assert "nowhere does not begin with http" in polydelta("task", "ls").err

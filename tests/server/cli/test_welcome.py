"""What a newcomer sees first."""

import shlex

from typer.core import TyperGroup
from typer.main import get_command

from server.cli.root import app
from server.cli.welcome import FIRST
from tests.server.cli.conftest import Polydelta


def test_polydelta_alone_shows_where_to_begin_and_names_the_rest(polydelta: Polydelta) -> None:
    result = polydelta()
    root = get_command(app)
    assert result.code == 0
    assert isinstance(root, TyperGroup)
    lines = result.out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("  ")] == [
        ["polydelta", name] for name in FIRST
    ]
    assert all(name in lines[-1] for name in root.commands.keys() - FIRST.keys())
    assert max(map(len, lines[:-1])) <= 80


def test_the_commands_to_begin_with_are_such() -> None:
    for typed, _ in FIRST.values():
        _, *arguments = shlex.split(typed)
        command = get_command(app)
        while isinstance(command, TyperGroup):
            command = command.commands[arguments.pop(0)]
        command.make_context("polydelta", arguments)


def test_help_shows_types_and_places_as_people_write_them(polydelta: Polydelta) -> None:
    shown = " ".join(polydelta("serve", "--help").out.split())
    assert "--registry <str>" in shown
    assert "--sources <str>" in shown
    assert "Annotated" not in shown

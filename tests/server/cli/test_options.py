from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from server.cli.options import takes_settings


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], {}),
        (["--prefix-cache"], {"prefix_cache": True}),
        (["--no-prefix-cache"], {"prefix_cache": False}),
        (["--port", "0", "--task", "a=b"], {"port": 0, "tasks": {"a": "b"}}),
    ],
)
def test_only_flags_that_were_given_count(arguments: list[str], given: dict[str, Any]) -> None:
    found: list[dict[str, Any]] = []
    app = typer.Typer()

    @app.command()
    @takes_settings
    def command(*, flags: dict[str, Any]) -> None:
        found.append(flags)

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert found == [given]

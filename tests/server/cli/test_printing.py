"""What models write is printed as they wrote it."""

import json

import pytest

from server.cli.printing import print_json, print_table, print_text

ODD = "[bold]:warning:[/] a\tb :smile: " + "long " * 40 + "http://x/?a=:+1:"


def test_a_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(ODD, end="")
    print_text("\r\n")
    assert capsys.readouterr().out == ODD + "\r\n\n"


def test_json_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": ODD})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": ODD}
    assert ":warning:" in printed


def test_a_table_s_cells_keep_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["LABEL"], [["[red]:warning:"]])
    assert "[red]:warning:" in capsys.readouterr().out

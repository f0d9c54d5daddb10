"""The log, as a program that collects it reads it."""

import io
import json
import logging
from pathlib import Path

import pytest

from server.logs import JsonFormatter, request_id
from tests.server.api.live import serving


def _line(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    return json.loads(JsonFormatter().format(caplog.records[-1]))


def test_a_line_is_one_object(caplog: pytest.LogCaptureFixture):
    logging.getLogger("server.x").warning("%d tasks,\nof %s", 3, '"base"')
    line = _line(caplog)
    assert line["message"] == '3 tasks,\nof "base"'
    assert (line["level"], line["logger"]) == ("warning", "server.x")
    assert line["time"].endswith("Z")
    assert "request_id" not in line
    assert "\n" not in JsonFormatter().format(caplog.records[-1])


def test_a_line_names_its_request_and_its_error(caplog: pytest.LogCaptureFixture):
    before = request_id.set("req-7")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("server.x").exception("It failed.")
    line = _line(caplog)
    request_id.reset(before)
    assert line["request_id"] == "req-7"
    assert line["error"].startswith("Traceback")


def test_what_a_request_causes_names_it(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Servers of this process that wrote no such lines have turned it off.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    try:
        with serving(decoder, tmp_path, log_level="debug", log_format="json") as live:
            for name in ("first", "second"):
                live.http.get("/health", headers={"x-request-id": name})
    finally:
        logging.getLogger().removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    named = [line["request_id"] for line in lines if line["logger"] == "uvicorn.access"]
    assert named == ["first", "second"]
    assert "request_id" not in lines[-1]

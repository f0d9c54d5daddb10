"""The log, as a program that collects it reads it."""

import json
import logging
from pathlib import Path

import httpx2
import pytest

from server.bench.process import server
from server.logs import JsonFormatter, request_id
from tests.server.api.live import PATIENCE


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


def test_what_a_request_causes_names_it(decoder: Path, tmp_path: Path):
    log = tmp_path / "log"
    flags = ("--kv-cache-gb", "0.01", "--log-level", "debug", "--log-format", "json")
    with server([str(decoder), *flags], log=log) as url:
        for name in ("first", "second"):
            httpx2.get(f"{url}/health", headers={"x-request-id": name}, timeout=PATIENCE)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    asked = [line for line in lines if "/health " in line["message"] and "request_id" in line]
    assert [line["request_id"] for line in asked] == ["first", "second"]
    assert {line["logger"] for line in asked} == {"uvicorn.access"}
    assert "request_id" not in lines[-1]

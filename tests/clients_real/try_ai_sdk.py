"""Vercel's AI SDK, from npm."""

import os
import subprocess
from pathlib import Path

import pytest
from asked import wait_until_idle

SCRIPT = Path(__file__).with_name("ai_sdk.mjs")

pytestmark = pytest.mark.skipif(
    "NODE_MODULES" not in os.environ, reason="npm's packages are not there"
)


def run(cell: str) -> None:
    done = subprocess.run(["node", str(SCRIPT), cell], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_chat() -> None:
    run("chat")


def test_stream() -> None:
    run("stream")


def test_usage() -> None:
    run("usage")


def test_tools() -> None:
    run("tools")


def test_streamed_tools() -> None:
    run("streamed_tools")


def test_json_schema() -> None:
    run("json_schema")


def test_responses() -> None:
    run("responses")


def test_embeddings() -> None:
    run("embeddings")


def test_cancel() -> None:
    run("cancel")
    wait_until_idle()


def test_errors() -> None:
    run("errors")

"""What every client is asked to ask: short, and with few answers that keep to its schemas."""

import os
import time
import urllib.request
from typing import Any, Literal

from pydantic import BaseModel, Field

URL = os.environ["POLYDELTA_URL"]
API = f"{URL}/v1"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]

LONG: list[dict[str, Any]] = [{"role": "user", "content": "word " * 5000}]


class Weather(BaseModel):
    """Tells the weather of a city, some days from now."""

    city: Literal["Paris", "Rome"]
    days: int = Field(ge=0, le=9)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome"]},
        "days": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA},
}
FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True},
}


def weather(city: Literal["Paris", "Rome"], days: int) -> str:
    """Tells the weather of a city, some days from now."""
    return f"{city}: rain in {days} days"


def wait_until_idle() -> None:
    """Wait until the server computes nothing; raises TimeoutError if it does not stop."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{URL}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        running = [line for line in lines if line.startswith("vllm:num_requests_running")]
        if running and all(float(line.split()[-1]) == 0 for line in running):
            return
        time.sleep(0.05)
    raise TimeoutError("an answer that nobody reads goes on")

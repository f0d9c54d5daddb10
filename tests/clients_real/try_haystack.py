"""Haystack: its generator of chats and its embedder."""

from typing import Any

import openai
import pytest
from asked import API, SCHEMA, Weather
from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools import Tool
from haystack.utils import Secret

HELLO = [ChatMessage.from_user("hello")]
KEY = Secret.from_token("none")
TOOL = Tool(name="weather", description="Tells", parameters=SCHEMA, function=lambda **_: "rain")


def chat(model: str = "base", **options: Any) -> OpenAIChatGenerator:
    return OpenAIChatGenerator(
        api_key=KEY, model=model, api_base_url=API, max_retries=0, generation_kwargs=options
    )


def test_chat() -> None:
    assert len(chat(max_tokens=6).run(HELLO)["replies"]) == 1


def test_stream() -> None:
    pieces: list[StreamingChunk] = []
    options = {"max_tokens": 6, "seed": 1}
    whole = chat(**options).run(HELLO)["replies"][0].text
    chat(**options).run(HELLO, streaming_callback=pieces.append)
    assert "".join(piece.content for piece in pieces) == (whole or "")


def test_usage() -> None:
    (reply,) = chat(max_tokens=6).run(HELLO)["replies"]
    assert reply.meta["usage"]["completion_tokens"]


def test_n() -> None:
    assert len(chat(max_tokens=6, n=2).run(HELLO)["replies"]) == 2


def test_logprobs() -> None:
    (reply,) = chat(max_tokens=6, logprobs=True).run(HELLO)["replies"]
    assert reply.meta["logprobs"]


def test_tools() -> None:
    (reply,) = chat(tool_choice="required").run(HELLO, tools=[TOOL])["replies"]
    assert reply.tool_calls
    assert all(Weather.model_validate(call.arguments) for call in reply.tool_calls)


def test_streamed_tools() -> None:
    pieces: list[StreamingChunk] = []
    asked = chat(tool_choice="required")
    (reply,) = asked.run(HELLO, tools=[TOOL], streaming_callback=pieces.append)["replies"]
    assert reply.tool_calls
    assert all(Weather.model_validate(call.arguments) for call in reply.tool_calls)


def test_json_schema() -> None:
    (reply,) = chat(response_format=Weather).run(HELLO)["replies"]
    Weather.model_validate_json(reply.text)


def test_embeddings() -> None:
    embedder = OpenAITextEmbedder(api_key=KEY, model="embedder", api_base_url=API)
    assert embedder.run("hello")["embedding"]


def test_errors() -> None:
    with pytest.raises(openai.NotFoundError):
        chat("nothing").run(HELLO)


def test_responses() -> None:
    pieces: list[StreamingChunk] = []
    asked = OpenAIResponsesChatGenerator(
        api_key=KEY, model="base", api_base_url=API, max_retries=0, generation_kwargs={}
    )
    options = {"max_output_tokens": 200}
    (reply,) = asked.run(HELLO, generation_kwargs=options)["replies"]
    assert reply.meta["usage"]["output_tokens"]
    asked.run(HELLO, streaming_callback=pieces.append, generation_kwargs=options)
    assert pieces
    options["tool_choice"] = "required"
    (reply,) = asked.run(HELLO, tools=[TOOL], generation_kwargs=options)["replies"]
    assert reply.tool_calls
    assert all(Weather.model_validate(call.arguments) for call in reply.tool_calls)

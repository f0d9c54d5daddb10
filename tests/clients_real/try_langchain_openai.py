"""LangChain: chats, tools and structured answers, as its agents ask for them."""

from typing import Any

import openai
import pytest
from asked import API, HELLO, LONG, Weather, wait_until_idle, weather
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def chat(model: str = "base", **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=API, api_key="none", max_retries=0, **options)


def test_chat() -> None:
    assert isinstance(chat(max_tokens=6).invoke("hello").content, str)


def test_stream() -> None:
    whole = chat(max_tokens=6, seed=1).invoke("hello").content
    chunks = chat(max_tokens=6, seed=1).stream("hello")
    assert "".join(str(chunk.content) for chunk in chunks) == whole


def test_usage() -> None:
    total = AIMessageChunk(content="")
    for chunk in chat(max_tokens=6, stream_usage=True).stream("hello"):
        total += chunk
    assert total.usage_metadata["output_tokens"]


def test_n() -> None:
    found = chat(max_tokens=6, n=2).generate([[HumanMessage("hello")]])
    assert len(found.generations[0]) == 2


def test_logprobs() -> None:
    found = chat(max_tokens=6, logprobs=True, top_logprobs=2).invoke("hello")
    assert found.response_metadata["logprobs"]["content"]


def test_tools() -> None:
    found = chat().bind_tools([weather], tool_choice="any").invoke(HELLO)
    assert found.tool_calls
    assert not found.invalid_tool_calls


def test_streamed_tools() -> None:
    total = AIMessageChunk(content="")
    for chunk in chat().bind_tools([weather], tool_choice="any").stream(HELLO):
        total += chunk
    assert total.tool_calls
    assert not total.invalid_tool_calls


def test_json_schema() -> None:
    answers = chat().with_structured_output(Weather, method="json_schema")
    assert isinstance(answers.invoke(HELLO), Weather)


def test_parse() -> None:
    answers = chat().with_structured_output(Weather, method="function_calling")
    assert isinstance(answers.invoke(HELLO), Weather)


def test_embeddings() -> None:
    embeddings = OpenAIEmbeddings(
        model="embedder", base_url=API, api_key="none", check_embedding_ctx_length=False
    )
    assert len(embeddings.embed_documents(["a", "b"])) == 2


def test_cancel() -> None:
    stream = chat(extra_body={"ignore_eos": True}).stream("hello")
    next(stream)
    stream.close()
    wait_until_idle()


def test_errors() -> None:
    with pytest.raises(openai.NotFoundError):
        chat("nothing").invoke("hello")
    with pytest.raises(ContextOverflowError, match="maximum context length is 4096"):
        chat().invoke(LONG)


def test_responses() -> None:
    asked = chat(use_responses_api=True, max_tokens=200)
    assert asked.invoke("hello").usage_metadata["output_tokens"]
    total = AIMessageChunk(content="")
    for chunk in asked.stream("hello"):
        total += chunk
    assert total.usage_metadata["output_tokens"]
    found = asked.bind_tools([weather], tool_choice="any").invoke(HELLO)
    assert found.tool_calls
    assert not found.invalid_tool_calls
    answers = asked.with_structured_output(Weather, method="json_schema")
    assert isinstance(answers.invoke(HELLO), Weather)

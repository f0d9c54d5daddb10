"""litellm: answers under its names, and errors as the classes that its users catch."""

from typing import Any

import litellm
import pytest
from asked import API, HELLO, LONG, TOOL, URL, Weather, wait_until_idle


@pytest.fixture(params=["openai", "hosted_vllm"])
def provider(request: pytest.FixtureRequest) -> str:
    """The two by which litellm's users reach servers of this kind."""
    return request.param


def chat(provider: str, model: str = "base", messages: Any = HELLO, **options: Any) -> Any:
    return litellm.completion(
        model=f"{provider}/{model}",
        messages=messages,
        api_base=API,
        api_key="none",
        num_retries=0,
        max_retries=0,
        **options,
    )


def test_chat(provider: str) -> None:
    assert chat(provider, max_tokens=6).choices[0].message.role == "assistant"


def test_stream(provider: str) -> None:
    whole = chat(provider, max_tokens=6, seed=1).choices[0].message.content
    chunks = chat(provider, max_tokens=6, seed=1, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_usage(provider: str) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = chat(provider, max_tokens=6, **options)
    assert last.usage.completion_tokens


def test_n(provider: str) -> None:
    assert len(chat(provider, max_tokens=6, n=2).choices) == 2


def test_logprobs(provider: str) -> None:
    found = chat(provider, max_tokens=6, logprobs=True, top_logprobs=2)
    assert found.choices[0].logprobs.content


def test_tools(provider: str) -> None:
    found = chat(provider, tools=[TOOL], tool_choice="required")
    calls = found.choices[0].message.tool_calls
    assert calls
    assert all(Weather.model_validate_json(call.function.arguments) for call in calls)


def test_streamed_tools(provider: str) -> None:
    chunks = list(chat(provider, tools=[TOOL], tool_choice="required", stream=True))
    whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
    calls = whole.choices[0].message.tool_calls
    assert calls
    assert all(Weather.model_validate_json(call.function.arguments) for call in calls)


def test_json_schema(provider: str) -> None:
    found = chat(provider, response_format=Weather)
    Weather.model_validate_json(found.choices[0].message.content)


def test_embeddings(provider: str) -> None:
    found = litellm.embedding(
        model=f"{provider}/embedder", input=["a", "b"], api_base=API, api_key="none"
    )
    assert len(found.data) == 2


def test_cancel(provider: str) -> None:
    stream = chat(provider, stream=True, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.completion_stream.close()
    wait_until_idle()


def test_errors(provider: str) -> None:
    with pytest.raises(litellm.NotFoundError, match=r"no task 'lor'. Did you mean lora"):
        chat(provider, "lor")
    with pytest.raises(litellm.BadRequestError, match="top_p"):
        chat(provider, top_p=7)
    with pytest.raises(litellm.ContextWindowExceededError, match="context length is 4096"):
        chat(provider, messages=LONG)
    with pytest.raises(litellm.NotFoundError):
        litellm.embedding(model=f"{provider}/lor", input="a", api_base=API, api_key="none")


def test_rerank() -> None:
    found = litellm.rerank(
        model="hosted_vllm/ranker",
        query="prize",
        documents=["noon", "You won a prize"],
        top_n=1,
        api_base=URL,
        api_key="none",
    )
    assert found.results[0]["document"]["text"] in ("noon", "You won a prize")


def test_responses(provider: str) -> None:
    asked: dict[str, Any] = {
        "model": f"{provider}/base",
        "input": "hello",
        "api_base": API,
        "api_key": "none",
        "max_output_tokens": 200,
    }
    assert litellm.responses(**asked).usage.output_tokens
    *_, last = litellm.responses(**asked, stream=True)
    assert last.type == "response.completed" or last.type == "response.incomplete"
    tool = {"type": "function", **TOOL["function"]}
    found = litellm.responses(**asked, tools=[tool], tool_choice="required")
    calls = [item for item in found.output if item.type == "function_call"]
    assert calls
    assert all(Weather.model_validate_json(call.arguments) for call in calls)

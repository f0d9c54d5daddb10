"""huggingface_hub: its client of chats."""

import pytest
from asked import FORMAT, HELLO, TOOL, URL, Weather, wait_until_idle
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError


@pytest.fixture
def client() -> InferenceClient:
    return InferenceClient(base_url=URL, api_key="none")


def test_chat(client: InferenceClient) -> None:
    chat = client.chat_completion(HELLO, model="base", max_tokens=6)
    assert chat.choices[0].message.role == "assistant"


def test_stream(client: InferenceClient) -> None:
    options = {"model": "base", "max_tokens": 6, "seed": 1}
    whole = client.chat_completion(HELLO, **options).choices[0].message.content
    chunks = client.chat_completion(HELLO, **options, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_usage(client: InferenceClient) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *_, last = client.chat_completion(HELLO, model="base", max_tokens=6, **options)
    assert last.usage.completion_tokens


def test_n(client: InferenceClient) -> None:
    assert len(client.chat_completion(HELLO, model="base", max_tokens=6, n=2).choices) == 2


def test_logprobs(client: InferenceClient) -> None:
    chat = client.chat_completion(HELLO, model="base", max_tokens=6, logprobs=True, top_logprobs=2)
    assert all(len(each.top_logprobs) == 2 for each in chat.choices[0].logprobs.content)


def test_tools(client: InferenceClient) -> None:
    chat = client.chat_completion(HELLO, model="base", tools=[TOOL], tool_choice="required")
    calls = chat.choices[0].message.tool_calls
    assert calls
    assert all(Weather.model_validate_json(call.function.arguments) for call in calls)


def test_streamed_tools(client: InferenceClient) -> None:
    chunks = client.chat_completion(
        HELLO, model="base", tools=[TOOL], tool_choice="required", stream=True
    )
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    first = [call.function.arguments for call in calls if call.index == 0]
    Weather.model_validate_json("".join(first))


def test_json_schema(client: InferenceClient) -> None:
    chat = client.chat_completion(HELLO, model="base", response_format=FORMAT)
    Weather.model_validate_json(chat.choices[0].message.content)


def test_embeddings(client: InferenceClient) -> None:
    inner = InferenceClient(URL, api_key="none")
    assert inner.feature_extraction("hello", model=f"{URL}/embed").ndim


def test_cancel(client: InferenceClient) -> None:
    stream = client.chat_completion(
        HELLO, model="base", stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    stream.close()
    wait_until_idle()


def test_errors(client: InferenceClient) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client.chat_completion(HELLO, model="nothing")
    assert caught.value.response.status_code == 404

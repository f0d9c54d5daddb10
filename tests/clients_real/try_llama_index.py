"""LlamaIndex: its client of servers like OpenAI's."""

import gc
from collections.abc import Callable

import pytest
from asked import API, Weather, wait_until_idle, weather
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike

HELLO = [ChatMessage(role="user", content="hello")]
TOOL = FunctionTool.from_defaults(weather)


def model(name: str = "base", **options: object) -> OpenAILike:
    return OpenAILike(
        model=name,
        api_base=API,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=4096,
        max_retries=0,
        **options,
    )


def test_chat() -> None:
    assert model(max_tokens=6).chat(HELLO).message.role == "assistant"


def test_stream() -> None:
    options = {"max_tokens": 6, "additional_kwargs": {"seed": 1}}
    whole = model(**options).chat(HELLO).message.content
    assert "".join(each.delta or "" for each in model(**options).stream_chat(HELLO)) == whole


def test_usage() -> None:
    assert model(max_tokens=6).chat(HELLO).raw.usage.completion_tokens


def test_logprobs() -> None:
    assert model(max_tokens=6, logprobs=True, top_logprobs=2).chat(HELLO).logprobs


def test_tools() -> None:
    asked = model()
    answer = asked.chat_with_tools([TOOL], chat_history=HELLO, tool_required=True)
    calls = asked.get_tool_calls_from_response(answer)
    assert all(call.tool_kwargs["city"] in ("Paris", "Rome") for call in calls)
    assert calls


def test_streamed_tools() -> None:
    asked = model()
    *_, last = asked.stream_chat_with_tools([TOOL], chat_history=HELLO, tool_required=True)
    calls = asked.get_tool_calls_from_response(last)
    assert all(call.tool_kwargs["city"] in ("Paris", "Rome") for call in calls)
    assert calls


def test_json_schema() -> None:
    answers = model(should_use_structured_outputs=True).as_structured_llm(Weather)
    assert isinstance(answers.chat(HELLO).raw, Weather)


def test_parse() -> None:
    assert isinstance(model().as_structured_llm(Weather).chat(HELLO).raw, Weather)


def test_embeddings() -> None:
    embeddings = OpenAILikeEmbedding(model_name="embedder", api_base=API, api_key="none")
    assert len(embeddings.get_text_embedding_batch(["a", "b"])) == 2


def test_cancel(record_property: Callable[[str, object], None]) -> None:
    record_property(
        "note",
        "a stream that is closed ends its request once Python's garbage collector has come by, as "
        "here: its events of what happened hold the connection until then.",
    )
    stream = model(additional_kwargs={"extra_body": {"ignore_eos": True}}).stream_chat(HELLO)
    next(stream)
    stream.close()
    gc.collect()
    wait_until_idle()


def test_errors() -> None:
    with pytest.raises(Exception, match="nothing") as caught:
        model("nothing").chat(HELLO)
    assert type(caught.value).__name__ == "NotFoundError"


def test_responses() -> None:
    asked = OpenAIResponses(
        model="base",
        api_base=API,
        api_key="none",
        max_retries=0,
        max_output_tokens=200,
        context_window=4096,
    )
    assert asked.chat(HELLO).message.role == "assistant"
    assert [each.delta for each in asked.stream_chat(HELLO)]

"""DSPy: its language model, and signatures whose answers are typed."""

import asyncio
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from asked import API, HELLO, TOOL, Weather
from dspy.lm15 import (
    AccessPolicy,
    ModelSupport,
    OpenAIChatCompat,
    ProviderDefinition,
    register_provider,
)

DECLARED = (
    "it asks for a JSON schema where `dspy.lm15.register_provider` has declared the server with "
    "`ModelSupport(response_schema=True)`, as here; of a model that it does not know it would ask "
    "for any JSON object."
)


class Ask(dspy.Signature):
    """Say what weather is asked for."""

    question: str = dspy.InputField()
    weather: Weather = dspy.OutputField()


def model(name: str = "base", **options: Any) -> dspy.LM:
    return dspy.LM(
        f"openai/{name}", api_base=API, api_key="none", cache=False, num_retries=0, **options
    )


def declared() -> dspy.LM:
    """The same base, by a provider that is said to keep to schemas."""
    access = AccessPolicy(provider="polydelta", base_url=API)
    register_provider(
        ProviderDefinition.chat(access, compat=OpenAIChatCompat()),
        supports=ModelSupport(function_calling=True, response_schema=True),
    )
    return dspy.LM("polydelta/base", api_base=API, api_key="none", cache=False, num_retries=0)


def test_chat() -> None:
    assert len(model(max_tokens=6)("hello")) == 1


def test_stream() -> None:
    async def stream() -> list[Any]:
        with dspy.context(lm=declared(), adapter=dspy.JSONAdapter()):
            program = dspy.streamify(dspy.Predict(Ask), is_async_program=False)
            return [each async for each in program(question="Rain?")]

    assert isinstance(asyncio.run(stream())[-1], dspy.Prediction)


def test_usage() -> None:
    lm = model(max_tokens=6)
    lm("hello")
    assert lm.history[-1]["usage"]["completion_tokens"]


def test_n() -> None:
    assert len(model(max_tokens=6, n=2)("hello")) == 2


def test_logprobs() -> None:
    (found,) = model(max_tokens=6, logprobs=True)("hello")
    assert found["logprobs"]


def test_tools() -> None:
    (found,) = model()(messages=HELLO, tools=[TOOL], tool_choice="required")
    for call in found["tool_calls"]:
        Weather.model_validate_json(call["function"]["arguments"])


def test_json_schema(record_property: Callable[[str, object], None]) -> None:
    record_property("note", DECLARED)
    with dspy.context(lm=declared(), adapter=dspy.JSONAdapter()):
        assert isinstance(dspy.Predict(Ask)(question="Rain?").weather, Weather)


def test_embeddings() -> None:
    embedder = dspy.Embedder("openai/embedder", api_base=API, api_key="none", caching=False)
    assert len(embedder(["a", "b"])) == 2


def test_errors() -> None:
    with pytest.raises(Exception, match="nothing"):
        model("nothing")("hello")


def test_responses() -> None:
    assert len(model(max_tokens=200, model_type="responses")("hello")) == 1

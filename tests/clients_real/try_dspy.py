"""DSPy: its language model, and signatures whose answers are typed."""

import asyncio
from typing import Any

import dspy
import pytest
from asked import API, HELLO, TOOL, Weather


class Ask(dspy.Signature):
    """Say what weather is asked for."""

    question: str = dspy.InputField()
    weather: Weather = dspy.OutputField()


def model(name: str = "base", **options: Any) -> dspy.LM:
    return dspy.LM(
        f"openai/{name}", api_base=API, api_key="none", cache=False, num_retries=0, **options
    )


def test_chat() -> None:
    assert len(model(max_tokens=6)("hello")) == 1


def test_stream() -> None:
    async def stream() -> list[Any]:
        with dspy.context(lm=model(max_tokens=400), adapter=dspy.JSONAdapter()):
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


def test_json_schema() -> None:
    with dspy.context(lm=model(max_tokens=400), adapter=dspy.JSONAdapter()):
        assert isinstance(dspy.Predict(Ask)(question="Rain?").weather, Weather)


def test_embeddings() -> None:
    embedder = dspy.Embedder("openai/embedder", api_base=API, api_key="none", caching=False)
    assert len(embedder(["a", "b"])) == 2


def test_errors() -> None:
    with pytest.raises(Exception, match="nothing"):
        model("nothing")("hello")

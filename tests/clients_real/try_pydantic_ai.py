"""pydantic-ai: agents whose answers are models, by tools and by schemas."""

import asyncio

import pytest
from asked import API, Weather, wait_until_idle, weather
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


def model(name: str = "base") -> OpenAIChatModel:
    provider = OpenAIProvider(base_url=API, api_key="none")
    return OpenAIChatModel(name, provider=provider, settings={"max_tokens": 400, "seed": 1})


def test_chat() -> None:
    assert isinstance(Agent(model()).run_sync("hello").output, str)


def test_stream() -> None:
    async def stream() -> str:
        async with Agent(model()).run_stream("hello") as result:
            return "".join([text async for text in result.stream_text(delta=True)])

    assert isinstance(asyncio.run(stream()), str)


def test_usage() -> None:
    assert Agent(model()).run_sync("hello").usage.output_tokens


def test_tools() -> None:
    agent = Agent(model(), output_type=ToolOutput(Weather), tools=[weather], retries=0)
    assert isinstance(agent.run_sync("hello").output, Weather)


def test_streamed_tools() -> None:
    async def stream() -> Weather:
        agent = Agent(model(), output_type=ToolOutput(Weather))
        async with agent.run_stream("hello") as result:
            return await result.get_output()

    assert isinstance(asyncio.run(stream()), Weather)


def test_json_schema() -> None:
    agent = Agent(model(), output_type=NativeOutput(Weather))
    assert isinstance(agent.run_sync("hello").output, Weather)


def test_cancel() -> None:
    async def stream() -> None:
        async with Agent(model()).run_stream("hello") as result:
            async for _ in result.stream_text(delta=True):
                return

    asyncio.run(stream())
    wait_until_idle()


def test_errors() -> None:
    with pytest.raises(ModelHTTPError) as caught:
        Agent(model("nothing")).run_sync("hello")
    assert caught.value.status_code == 404


def test_responses() -> None:
    provider = OpenAIProvider(base_url=API, api_key="none")
    asked = OpenAIResponsesModel("base", provider=provider, settings={"max_tokens": 400})
    assert isinstance(Agent(asked).run_sync("hello").output, str)
    agent = Agent(asked, output_type=ToolOutput(Weather), tools=[weather], retries=0)
    assert isinstance(agent.run_sync("hello").output, Weather)
    agent = Agent(asked, output_type=NativeOutput(Weather))
    assert isinstance(agent.run_sync("hello").output, Weather)

    async def stream() -> str:
        async with Agent(asked).run_stream("hello") as result:
            return "".join([text async for text in result.stream_text(delta=True)])

    assert isinstance(asyncio.run(stream()), str)

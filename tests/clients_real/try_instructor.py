"""instructor: answers as pydantic models, by tools and by schemas."""

import instructor
import openai
import pytest
from asked import API, HELLO, Weather, wait_until_idle
from instructor.core.exceptions import InstructorRetryException


def client(mode: instructor.Mode) -> instructor.Instructor:
    inner = openai.OpenAI(base_url=API, api_key="none", max_retries=0)
    return instructor.from_openai(inner, mode=mode)


def test_tools() -> None:
    found = client(instructor.Mode.TOOLS).create(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    assert isinstance(found, Weather)


def test_streamed_tools() -> None:
    *_, last = client(instructor.Mode.TOOLS).create_partial(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    assert last.city in ("Paris", "Rome")


def test_usage() -> None:
    _, chat = client(instructor.Mode.TOOLS).create_with_completion(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    assert chat.usage.total_tokens > chat.usage.prompt_tokens


def test_json_schema() -> None:
    found = client(instructor.Mode.JSON_SCHEMA).create(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    assert isinstance(found, Weather)


def test_cancel() -> None:
    pieces = client(instructor.Mode.TOOLS).create_partial(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    next(iter(pieces))
    del pieces
    wait_until_idle()


def test_errors() -> None:
    with pytest.raises(InstructorRetryException, match="nothing"):
        client(instructor.Mode.TOOLS).create(
            model="nothing", messages=HELLO, response_model=Weather, max_retries=0
        )


def test_responses() -> None:
    found = client(instructor.Mode.RESPONSES_TOOLS).create(
        model="base", messages=HELLO, response_model=Weather, max_retries=0
    )
    assert isinstance(found, Weather)

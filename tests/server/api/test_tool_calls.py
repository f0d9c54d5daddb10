"""Calls that answers make, by OpenAI's own client, from a base that has learnt nothing at all."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import openai
import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall as FunctionCall
from pydantic import BaseModel, ConfigDict, Field

from tests.bases import save_base
from tests.server.api.live import Live, serving
from tests.server.engine.call_templates import TEMPLATES

HELLO: Any = [{"role": "user", "content": "Rain?"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 8},
        "days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "maxItems": 2},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
NEWS: dict[str, Any] = {
    "type": "object",
    "properties": {"about": {"anyOf": [{"const": "sport"}, {"type": "null"}]}},
    "required": ["about"],
    "additionalProperties": False,
}
SCHEMAS = {"weather": SCHEMA, "news": NEWS}
FUNCTIONS: Any = [{"name": name, "parameters": SCHEMAS[name]} for name in SCHEMAS]
TOOLS: Any = [{"type": "function", "function": function} for function in FUNCTIONS]


class News(BaseModel):
    """Tells what is new."""

    model_config = ConfigDict(extra="forbid")

    about: Literal["sport", "art"]
    count: int = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    base = save_base("llama", tmp_path_factory.mktemp("bases") / "b", max_position_embeddings=4096)
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        yield server


def checked(calls: Any) -> list[str]:
    """The names of calls whose arguments keep to their schemas."""
    for call in calls:
        assert isinstance(call, FunctionCall)
        jsonschema.validate(json.loads(call.function.arguments), SCHEMAS[call.function.name])
    assert len({call.id for call in calls}) == len(calls)
    return [call.function.name for call in calls]


@pytest.mark.parametrize("seed", range(4))
def test_required_calls_keep_to_their_schemas(client: openai.OpenAI, seed: int) -> None:
    chat = client.chat.completions.create(
        model="base", messages=HELLO, tools=TOOLS, tool_choice="required", seed=seed, n=2
    )
    for choice in chat.choices:
        assert 1 <= len(checked(choice.message.tool_calls)) <= 16
        assert choice.message.content is None
        assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_named_tool_is_called_once(client: openai.OpenAI, name: str) -> None:
    choice: Any = {"type": "function", "function": {"name": name}}
    chat = client.chat.completions.create(
        model="base", messages=HELLO, tools=TOOLS, tool_choice=choice
    )
    assert checked(chat.choices[0].message.tool_calls) == [name]


def test_one_call_where_they_may_not_be_parallel(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="base",
        messages=HELLO,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        n=8,
    )
    assert all(len(checked(choice.message.tool_calls)) == 1 for choice in chat.choices)


def test_a_stream_tells_the_name_first_and_then_the_arguments(client: openai.OpenAI) -> None:
    options: Any = {"model": "base", "messages": HELLO, "tools": TOOLS, "seed": 3}
    options["tool_choice"] = "required"
    whole = client.chat.completions.create(**options)
    with client.chat.completions.stream(
        **options, stream_options={"include_usage": True}
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        final = stream.get_final_completion()
    expected = whole.choices[0].message.tool_calls or []
    found = final.choices[0].message.tool_calls or []
    assert [(each.function.name, each.function.arguments) for each in found] == [
        (each.function.name, each.function.arguments)
        for each in expected
        if isinstance(each, FunctionCall)
    ]
    assert checked(expected)
    assert final.usage == whole.usage
    assert final.choices[0].finish_reason == "tool_calls"
    told = [
        call
        for chunk in chunks
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
        if call.index == 0
    ]
    assert (told[0].id, told[0].type) == (found[0].id, "function")
    assert told[0].function
    assert told[0].function.name == found[0].function.name
    assert len(told) > 2
    assert all(call.id is None and call.function and not call.function.name for call in told[1:])


@pytest.mark.parametrize("name", TEMPLATES)
def test_calls_in_the_form_of_a_template(
    live: Live, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tokenizer = live.engine.base.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATES[name])
    options: Any = {"model": "base", "messages": HELLO, "tools": TOOLS, "seed": 2}
    options |= {"tool_choice": "required", "extra_body": {"return_token_ids": True}}
    choice: Any = client.chat.completions.create(**options).choices[0]
    assert checked(choice.message.tool_calls)
    assert choice.finish_reason == "tool_calls"
    turn = choice.message.model_dump(include={"role", "tool_calls"}) | {"content": ""}
    for call in turn["tool_calls"] if name != "deepseek" else ():
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    written = str(tokenizer.apply_chat_template([*HELLO, turn], tools=TOOLS, tokenize=False))
    # Ids are our own: the base may have made up others, or none.
    text = tokenizer.decode(choice.token_ids, skip_special_tokens=True)
    ends = [re.sub(', "id": "[^"]*"', "", each) for each in (written, f"{text}</s>")]
    assert ends[0].endswith(ends[1])
    with client.chat.completions.stream(**options) as stream:
        stream.until_done()
        streamed = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert [each.function.model_dump(exclude={"parsed_arguments"}) for each in streamed] == [
        each.function.model_dump() for each in choice.message.tool_calls
    ]


def test_functions_are_called_as_they_once_were(client: openai.OpenAI) -> None:
    options: Any = {"model": "base", "messages": HELLO, "functions": FUNCTIONS, "seed": 3}
    options["function_call"] = {"name": "weather"}
    (choice,) = client.chat.completions.create(**options).choices
    call = choice.message.function_call
    assert call
    assert call.name == "weather"
    jsonschema.validate(json.loads(call.arguments), SCHEMA)
    assert choice.finish_reason == "function_call"
    deltas = [chunk.choices[0] for chunk in client.chat.completions.create(**options, stream=True)]
    pieces = [each.delta.function_call for each in deltas if each.delta.function_call]
    assert "".join(piece.name or "" for piece in pieces) == "weather"
    assert "".join(piece.arguments or "" for piece in pieces) == call.arguments
    assert deltas[-1].finish_reason == "function_call"


def test_arguments_are_parsed_as_models(client: openai.OpenAI) -> None:
    chat = client.chat.completions.parse(
        model="base",
        messages=HELLO,
        tools=[openai.pydantic_function_tool(News)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    (call,) = chat.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, News)


def test_calls_and_their_results_go_on(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(
        model="base", messages=HELLO, tools=TOOLS, tool_choice="required", seed=1
    )
    message = first.choices[0].message
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": "yes"}
        for call in message.tool_calls or ()
    ]
    after = client.chat.completions.create(
        model="base", messages=[*HELLO, message, *results], tools=TOOLS, max_tokens=4
    )
    assert after.usage
    assert first.usage
    assert after.usage.prompt_tokens > first.usage.total_tokens


def test_infer_calls_as_well(live: Live) -> None:
    parameters = {"tools": TOOLS, "tool_choice": "required", "temperature": 1, "seed": 3}
    parameters["max_tokens"] = 2000
    output = live.infer("base", HELLO, **parameters)["outputs"][0]
    assert output["finish_reason"] == "tool_calls"
    assert output["text"] == ""
    for call in output["tool_calls"]:
        function = call["function"]
        jsonschema.validate(json.loads(function["arguments"]), SCHEMAS[function["name"]])
    body = {"task": "base", "input": HELLO, "parameters": parameters, "stream": True}
    lines = live.post("/v1/infer", **body).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    told = [call for event in events for call in event.get("tool_calls", ()) if not call["index"]]
    arguments = "".join(call["function"]["arguments"] for call in told)
    assert arguments == output["tool_calls"][0]["function"]["arguments"]


def test_a_schema_that_cannot_be_kept_to_is_refused(client: openai.OpenAI) -> None:
    function = {"name": "f", "parameters": {"type": "object", "unevaluatedProperties": False}}
    tools: Any = [{"type": "function", "function": function}]
    with pytest.raises(openai.BadRequestError, match="unevaluatedProperties") as caught:
        client.chat.completions.create(model="base", messages=HELLO, tools=tools)
    assert caught.value.param == "tools"


@pytest.mark.parametrize("seed", range(3))
def test_beside_tools_a_text_keeps_to_its_format(client: openai.OpenAI, seed: int) -> None:
    answer_format: Any = {
        "type": "json_schema",
        "json_schema": {"name": "news", "schema": NEWS, "strict": True},
    }
    chat = client.chat.completions.create(
        model="base", messages=HELLO, tools=TOOLS, response_format=answer_format, seed=seed, n=4
    )
    for choice in chat.choices:
        if choice.message.tool_calls:
            checked(choice.message.tool_calls)
        else:
            jsonschema.validate(json.loads(choice.message.content or ""), NEWS)


def test_reasoning_comes_before_calls_and_formats(
    live: Live, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = live.engine.base.tokenizer
    template = tokenizer.chat_template + "{% if add_generation_prompt %}<think>\n{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    options: Any = {"model": "base", "messages": HELLO, "max_tokens": 40, "seed": 1}
    chat = client.chat.completions.create(**options, tools=TOOLS, tool_choice="required")
    message: Any = chat.choices[0].message
    # This base thinks until it is cut off.
    assert message.reasoning_content
    assert not message.content
    assert chat.choices[0].finish_reason == "length"
    pieces = client.chat.completions.create(
        **options, tools=TOOLS, tool_choice="required", stream=True
    )
    deltas: list[Any] = [chunk.choices[0].delta for chunk in pieces]
    told = "".join(getattr(each, "reasoning_content", None) or "" for each in deltas)
    assert told == message.reasoning_content


@pytest.mark.parametrize("field", ["schema", "value"])
def test_an_object_may_have_a_schema_beside_its_type(client: openai.OpenAI, field: str) -> None:
    answer_format: Any = {"type": "json_object", field: NEWS}
    chat = client.chat.completions.create(
        model="base", messages=HELLO, response_format=answer_format
    )
    jsonschema.validate(json.loads(chat.choices[0].message.content or ""), NEWS)

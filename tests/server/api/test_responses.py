"""OpenAI's responses, by its own client, and what its types make of every event."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.bases import save_base
from tests.server.api.live import Live, serving
from tests.server.api.problems import check
from tests.server.engine.pacing import slowed

PATH = "/v1/responses"
HELLO = "Will it rain in Łódź?"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 8},
        "days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "maxItems": 2},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
FORMAT: Any = {"format": {"type": "json_schema", "name": "w", "schema": SCHEMA, "strict": True}}
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
GREEDY: dict[str, Any] = {"model": "base", "temperature": 0, "max_output_tokens": 12}


class Weather(BaseModel):
    """Tells the weather of a city, some days from now."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Paris", "Rome"]
    days: int = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    base = save_base("llama", tmp_path_factory.mktemp("bases") / "b", max_position_embeddings=4096)
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        yield server


def answered(live: Live, **body: Any) -> Response:
    """A whole response, held to OpenAI's types."""
    response = live.post(PATH, **body)
    assert response.status_code == 200, response.text
    return Response.model_validate(response.json(), strict=True)


def streamed(live: Live, **body: Any) -> list[Any]:
    """A stream's events, each named as its type says, numbered, and held to OpenAI's types."""
    with live.http.stream("POST", PATH, json={**body, "stream": True}) as response:
        assert response.status_code == 200, response.read()
        raw = response.read().decode()
    events = list(_events(raw))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def _events(raw: str) -> Iterator[Any]:
    *blocks, end = raw.split("\n\n")
    assert end == ""
    for block in blocks:
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        yield EVENTS.validate_python(value, strict=True)


def rendered(live: Live, messages: list[dict[str, Any]], **options: Any) -> list[int]:
    """The prompt that a chat completion has."""
    asked = {"model": "base", "messages": messages, "max_tokens": 1, "return_token_ids": True}
    return live.post("/v1/chat/completions", **asked, **options).json()["prompt_token_ids"]


def read(live: Live, **body: Any) -> list[int]:
    """The prompt that a response has."""
    with live.reads() as prompts:
        answered(live, model="base", max_output_tokens=1, **body)
    (prompt,) = prompts
    return prompt.tokens


def test_a_response_says_what_a_chat_says(live: Live, client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="base",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": HELLO}],
        temperature=0,
        max_tokens=12,
    )
    found = client.responses.create(input=HELLO, instructions="Be brief.", **GREEDY)
    assert found.output_text == chat.choices[0].message.content
    assert (found.object, found.model, found.error) == ("response", "base", None)
    assert found.id.startswith("resp_")
    assert found.usage
    assert chat.usage
    assert found.usage.input_tokens == chat.usage.prompt_tokens
    assert found.usage.output_tokens == chat.usage.completion_tokens
    again = client.responses.create(input=HELLO, instructions="Be brief.", **GREEDY)
    assert again.usage
    assert again.usage.input_tokens_details.cached_tokens > 0
    assert again.output_text == found.output_text
    shown = found.to_dict()
    assert (shown["store"], shown["instructions"], shown["temperature"]) == (False, "Be brief.", 0)


def test_an_answer_that_is_cut_short_is_incomplete(live: Live) -> None:
    cut = answered(live, input=HELLO, ignore_eos=True, **GREEDY)
    assert cut.status == "incomplete"
    assert cut.incomplete_details
    assert cut.incomplete_details.reason == "max_output_tokens"
    (message,) = cut.output
    assert message.type == "message"
    assert message.status == "incomplete"
    *_, last = streamed(live, input=HELLO, ignore_eos=True, **GREEDY)
    assert last.type == "response.incomplete"
    assert last.response.output_text == cut.output_text
    text = cut.output_text
    whole = answered(live, input=HELLO, stop=[text[3:5]], **GREEDY)
    assert (whole.status, whole.incomplete_details) == ("completed", None)
    assert whole.output_text == text[: text.index(text[3:5])]


def test_the_events_of_a_text(live: Live) -> None:
    events = streamed(live, input=HELLO, **GREEDY)
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas > 1
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        kinds[-1],
    ]
    first, _, added, _, *told, done, part, item, last = events
    assert (first.response.status, first.response.output) == ("in_progress", [])
    assert first.response.id == last.response.id
    assert added.item.content == []
    assert {event.item_id for event in (*told, done, part)} == {added.item.id}
    text = answered(live, input=HELLO, **GREEDY).output_text
    assert "".join(event.delta for event in told) == text
    assert done.text == part.part.text == item.item.content[0].text == text
    assert last.response.output == [item.item]


def test_the_clients_own_stream(client: openai.OpenAI) -> None:
    whole = client.responses.create(input=HELLO, extra_body={"stop": ["e"]}, **GREEDY)
    with client.responses.stream(input=HELLO, **GREEDY, extra_body={"stop": ["e"]}) as stream:
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage


def test_logprobs_are_those_of_a_chat(live: Live) -> None:
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "input": HELLO}
    messages = [{"role": "user", "content": HELLO}]
    options = {"temperature": 0, "max_tokens": 12, "logprobs": True, "top_logprobs": 2}
    chat = live.post("/v1/chat/completions", model="base", messages=messages, **options).json()
    expected = chat["choices"][0]["logprobs"]["content"]
    part: Any = answered(live, **asked, **GREEDY).output[0]
    assert [each.to_dict() for each in part.content[0].logprobs] == expected
    events = streamed(live, **asked, **GREEDY)
    told = [
        each.to_dict()
        for event in events
        if event.type == "response.output_text.delta"
        for each in event.logprobs
    ]
    assert told == expected
    final = events[-1].response.output[0].content[0]
    assert [each.to_dict() for each in final.logprobs] == expected


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "weather"}])
def test_calls_keep_to_their_schemas(live: Live, choice: Any) -> None:
    options: dict[str, Any] = {"model": "base", "input": HELLO, "tools": [TOOL], "seed": 3}
    options |= {"tool_choice": choice, "parallel_tool_calls": False}
    whole = answered(live, **options)
    (call,) = whole.output
    assert call.type == "function_call"
    assert (call.name, call.status) == ("weather", "completed")
    jsonschema.validate(json.loads(call.arguments), SCHEMA)
    events = streamed(live, **options)
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    (told,) = events[-1].response.output
    assert told.arguments == call.arguments
    pieces = [event.delta for event in events if "arguments.delta" in event.type]
    assert "".join(pieces) == call.arguments
    assert events[2].item.arguments == ""
    assert events[2].item.call_id == told.call_id


def test_several_calls_are_items_one_after_the_other(live: Live) -> None:
    options = {"model": "base", "input": HELLO, "tools": [TOOL], "tool_choice": "required"}
    for seed in range(6):
        whole = answered(live, **options, seed=seed)
        events = streamed(live, **options, seed=seed)
        final = events[-1].response.output
        assert [each.arguments for each in final] == [
            each.arguments for each in whole.output if each.type == "function_call"
        ]
        opened = [event.output_index for event in events if event.type.endswith("item.added")]
        ended = [event.output_index for event in events if event.type.endswith("item.done")]
        assert opened == ended == list(range(len(final)))
        if len(final) > 1:
            return
    pytest.fail("no seed makes two calls")


@pytest.mark.parametrize("stream", [False, True])
def test_text_keeps_to_its_format(live: Live, stream: bool) -> None:
    for text in (FORMAT, {"format": {"type": "json_object"}}):
        options = {
            "model": "base",
            "input": HELLO,
            "text": text,
            "seed": 5,
            "max_output_tokens": 99,
        }
        ask = streamed(live, **options)[-1].response if stream else answered(live, **options)
        assert ask.text.format.type == text["format"]["type"]
        if ask.status == "completed":
            value = json.loads(ask.output_text)
            assert isinstance(value, dict)
        if text is FORMAT:
            jsonschema.validate(json.loads(ask.output_text), SCHEMA)
            assert ask.text.format.schema_ == SCHEMA


def test_the_client_parses(client: openai.OpenAI) -> None:
    found = client.responses.parse(model="base", input=HELLO, text_format=Weather)
    assert isinstance(found.output_parsed, Weather)
    tool = openai.pydantic_function_tool(Weather)["function"]
    flat: Any = {"type": "function", **tool}
    called = client.responses.parse(
        model="base", input=HELLO, tools=[flat], tool_choice="required", parallel_tool_calls=False
    )
    (call,) = called.output
    assert call.type == "function_call"
    Weather.model_validate_json(call.arguments)
    with client.responses.stream(model="base", input=HELLO, text_format=Weather) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Weather)


def test_calls_and_their_results_go_on(live: Live, client: openai.OpenAI) -> None:
    first = client.responses.create(
        model="base", input=HELLO, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
    )
    (call,) = first.output
    assert call.type == "function_call"
    given: Any = [
        {"role": "user", "content": HELLO},
        *(each.to_dict() for each in first.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "No rain."},
    ]
    function = {"name": "weather", "arguments": call.arguments}
    messages = [
        {"role": "user", "content": HELLO},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call.call_id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call.call_id, "content": "No rain."},
    ]
    nested = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    assert read(live, input=given, tools=[TOOL]) == rendered(live, messages, tools=nested)


def test_items_are_the_turns_of_a_chat(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% for message in messages %}{{ message | tojson }}{% endfor %}"
    monkeypatch.setattr(live.engine.base.tokenizer, "chat_template", template)
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    items = [
        {"type": "message", "role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        call,
        call | {"call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "sun"}],
        },
        {"role": "assistant", "content": "It is both."},
        {"role": "user", "content": "Thanks."},
    ]
    function = {"name": "weather", "arguments": "{}"}
    calls = [{"id": each, "type": "function", "function": function} for each in ("c1", "c2")]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "Hm.",
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "assistant", "content": "It is both."},
        {"role": "user", "content": "Thanks."},
    ]
    assert read(live, input=items, instructions="Be brief.") == rendered(live, messages)


def test_reasoning_is_an_item_of_its_own(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = live.engine.base.tokenizer
    template = tokenizer.chat_template + "{% if add_generation_prompt %}<think>\n{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    # This base thinks until it is cut off.
    whole = answered(live, input=HELLO, ignore_eos=True, **GREEDY)
    (thought,) = whole.output
    assert thought.type == "reasoning"
    assert (thought.status, thought.summary) == ("incomplete", [])
    messages = [{"role": "user", "content": HELLO}]
    chat = live.post(
        "/v1/chat/completions",
        model="base",
        messages=messages,
        max_tokens=12,
        temperature=0,
        ignore_eos=True,
    )
    reasoning = chat.json()["choices"][0]["message"]["reasoning_content"]
    assert thought.content
    assert thought.content[0].text == reasoning
    assert whole.usage
    assert 0 < whole.usage.output_tokens_details.reasoning_tokens <= 12
    events = streamed(live, input=HELLO, ignore_eos=True, **GREEDY)
    assert list(dict.fromkeys(event.type for event in events)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    told = [event.delta for event in events if event.type.endswith("reasoning_text.delta")]
    assert "".join(told) == reasoning


def test_no_effort_is_no_thinking(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% if enable_thinking is defined %}{{ enable_thinking }}{% endif %}x"
    tokenizer = live.engine.base.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", template)
    found = read(live, input=HELLO, reasoning={"effort": "none"})
    assert found == tokenizer.encode("Falsex", add_special_tokens=False)
    messages = [{"role": "user", "content": HELLO}]
    assert found == rendered(live, messages, reasoning_effort="none")
    assert read(live, input=HELLO) == tokenizer.encode("x", add_special_tokens=False)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "Nothing is kept"),
        ({"conversation": "conv_1"}, "conversation", "Nothing is kept"),
        ({"background": True}, "background", "leave it out"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "leave it out"),
        ({"truncation": "auto"}, "truncation", "truncate_prompt_tokens"),
        ({"max_tokens": 5}, "max_tokens", "max_output_tokens"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort", "leave it out"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary", "leave it out"),
        ({"include": ["reasoning.encrypted_content"]}, "include.0", "logprobs"),
        ({"top_logprobs": 2}, None, "include"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", "'function'"),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"text": {"verbosity": "high"}}, "text.verbosity", "leave it out"),
        ({"input": []}, "input", "at least 1"),
        ({"input": None}, "input", "required"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0", "types"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input.0.content.0.type",
            "Only text is read here",
        ),
        ({"n": 2}, "n", "1"),
    ],
)
def test_what_is_not_done_is_refused_by_name(
    live: Live, body: dict[str, Any], param: str | None, said: str
) -> None:
    response = live.post(PATH, **{"model": "base", "input": HELLO, **body})
    assert said in check(response, 400, "invalid_request", param)


def test_what_changes_nothing_is_taken(live: Live) -> None:
    plain = answered(live, input=HELLO, **GREEDY)
    metadata = {"run": "7"}
    found = answered(
        live,
        input=HELLO,
        store=True,
        metadata=metadata,
        truncation="disabled",
        user="me",
        prompt_cache_key="k",
        service_tier="auto",
        background=False,
        **GREEDY,
    )
    assert (found.output_text, found.metadata) == (plain.output_text, metadata)


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="bse", input=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as long:
        client.responses.create(model="base", input="word " * 5000)
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "input")


def test_a_stream_that_cannot_go_on_has_failed(tmp_path: Path) -> None:
    base = save_base("llama", tmp_path / "base", max_position_embeddings=4096)
    with serving(base, tmp_path, drain_timeout=0) as live:
        body = {"model": "base", "input": HELLO, "stream": True, "ignore_eos": True}
        with slowed(live.engine), live.http.stream("POST", PATH, json=body) as response:
            texts = response.iter_text()
            raw = next(texts)
            live.shut()
            raw += "".join(texts)
    *_, last = _events(raw)
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error.code == "server_error"
    assert "stopped" in last.response.error.message

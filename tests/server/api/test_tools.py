"""Tools over the wire: what the model is told of them, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bases import save_base
from tests.server.api.live import Live, serving
from tests.server.api.problems import check

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Rain in Łódź?"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "least": {"type": "number", "default": 1.0}},
    "required": ["city"],
}
FUNCTION = {"name": "weather", "description": "Tomorrow's", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {"name": "news"}}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Łódź"}'},
}
RESULTS = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "No"},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]
GREEDY = {"max_tokens": 4, "temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A base with room for tools, whose chat template knows none."""
    base = save_base("llama", tmp_path_factory.mktemp("bases") / "b", max_position_embeddings=2048)
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        yield server


def prompt_of(live: Live, **body: Any) -> str:
    """The prompt that a chat makes, as the engine wrote it."""
    with live.reads() as prompts:
        live.post(CHAT, model="base", **body, **GREEDY).raise_for_status()
    (prompt,) = prompts
    return prompt.text


def test_a_template_that_knows_no_tools_lists_them_for_the_system(live: Live) -> None:
    system = {"role": "system", "content": "Be brief."}
    prompt = prompt_of(live, messages=[system, USER], tools=[TOOL, OTHER])
    begin, _, listed = prompt.partition("<tools>\n")
    assert begin.startswith("<s><|system|>Be brief.\n\nYou can call functions.")
    first, second, end, *_ = listed.splitlines()
    assert json.loads(first) == FUNCTION
    assert json.loads(second)["name"] == "news"
    assert end == "</tools>"
    assert prompt.endswith("</s><|user|>Rain in Łódź?</s><|assistant|>")
    assert prompt_of(live, messages=[USER], tools=[TOOL]).startswith("<s><|system|>You can call")


def test_it_sees_calls_and_results_as_texts(live: Live) -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Łódź"}}\n</tool_call>'
    results = "\n".join(f"<tool_response>\n{each}\n</tool_response>" for each in ("No", "rain"))
    assert prompt_of(live, messages=[USER, *RESULTS]) == (
        f"<s><|user|>Rain in Łódź?</s><|assistant|>{call}</s><|user|>{results}</s><|assistant|>"
    )


def test_a_template_that_knows_tools_writes_them(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = (
        "{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
        "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
        "{% for call in message.tool_calls or () %}<call>{{ call.function.name }}:"
        "{{ call.function.arguments | tojson }}</call>{% endfor %}</s>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    tokenizer = live.engine.base.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", template)
    function = {"name": "weather", "arguments": {"city": "Łódź"}}
    shown: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [CALL | {"function": function}]},
        {"role": "tool", "content": "No", "tool_call_id": "c1", "name": "weather"},
        {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "weather"},
    ]
    expected = tokenizer.apply_chat_template(
        shown, tools=[TOOL], tokenize=False, add_generation_prompt=True
    )
    assert prompt_of(live, messages=[USER, *RESULTS], tools=[TOOL]) == expected
    assert json.dumps(SCHEMA["properties"]) in expected


def test_what_may_not_be_called_is_not_shown(live: Live) -> None:
    prompt = prompt_of(live, messages=[USER], tools=[TOOL], tool_choice="none")
    assert prompt == prompt_of(live, messages=[USER])


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"function_call": {"name": "x"}}, "function_call", "needs functions"),
        ({"tools": [TOOL, TOOL]}, "tools", "2 tools of the name 'weather'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            "no tool of the name 'x'",
        ),
        ({"tools": [TOOL], "functions": [FUNCTION]}, "functions", "not both"),
        ({"tools": [TOOL] * 129}, "tools", "at most 128"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", "'function'"),
        ({"tools": [TOOL | {"function": {"name": "a b"}}]}, "tools.0.function.name", "pattern"),
        (
            {"tools": [TOOL | {"function": FUNCTION | {"parameters": {"title": "x" * 70_000}}}]},
            "tools",
            "longer than",
        ),
    ],
)
def test_choices_that_cannot_be_made(
    live: Live, body: dict[str, Any], param: str, said: str
) -> None:
    answer = live.post(CHAT, model="base", messages=[USER], **body)
    assert said in check(answer, 400, "invalid_request", param)

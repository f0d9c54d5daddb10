"""Messages with calls and their results, as chat templates see them, against Transformers'."""

import json
from typing import Any

import pytest

from tests import samples
from tests.server.api.live import Live
from tests.server.api.problems import check

CHAT = "/v1/chat/completions"
GREEDY = {"max_tokens": 4, "temperature": 0, "ignore_eos": True}

USER = {"role": "user", "content": "Rain?"}
PARTS = [{"type": "text", "text": text} for text in ("Be", " brief")]
ARGUMENTS = {"city": "Łódź", "days": [1, None]}
FUNCTION = {"name": "weather", "arguments": json.dumps(ARGUMENTS)}
CALL = {"id": "c1", "type": "function", "function": FUNCTION}
SHOWN_CALL = CALL | {"function": FUNCTION | {"arguments": ARGUMENTS}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CASES: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    ([{"role": "developer", "content": PARTS}], {"role": "system", "content": "Be brief"}),
    ([USER | {"name": "ann"}], USER | {"name": "ann"}),
    (
        [CALLS | {"reasoning_content": "Hm"}],
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm",
            "tool_calls": [SHOWN_CALL],
        },
    ),
    (
        [CALLS, {"role": "tool", "tool_call_id": "c1", "content": "No"}],
        {"role": "tool", "content": "No", "tool_call_id": "c1", "name": "weather"},
    ),
    (
        [{"role": "assistant", "function_call": FUNCTION}],
        {"role": "assistant", "content": "", "tool_calls": [SHOWN_CALL | {"id": "weather"}]},
    ),
    (
        [{"role": "function", "name": "weather", "content": "No"}],
        {"role": "tool", "content": "No", "tool_call_id": "weather", "name": "weather"},
    ),
]
LAST = """{{ messages[-1] | tojson }}{# It is shown tools. #}
{%- for call in messages[-1].tool_calls or [] if call.function.name != "weather" -%}
    <tool_call>{{ call.function | tojson }}</tool_call>
{%- endfor -%}"""
"""Writes the last message as it is given, and other calls than ours in a form that is found."""


@pytest.fixture(scope="module")
def own(live: Live) -> str:
    directory = live.write("shown", samples.generator("lora", live.spec))
    (directory / "chat_template.jinja").write_text(LAST)
    live.http.put("/v1/tasks/shown", json={"source": directory.as_uri()}).raise_for_status()
    return "shown"


@pytest.mark.parametrize(("sent", "shown"), CASES)
def test_templates_see_transformers_messages(
    live: Live,
    own: str,
    monkeypatch: pytest.MonkeyPatch,
    sent: list[dict[str, Any]],
    shown: dict[str, Any],
) -> None:
    tokenizer = live.engine.base.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", LAST)
    tokens = tokenizer.apply_chat_template([shown], return_dict=False)
    for task in ("base", own):
        expected = live.post("/v1/completions", model=task, prompt=tokens, **GREEDY).json()
        chat = live.post(CHAT, model=task, messages=[USER, *sent], **GREEDY).json()
        assert chat["usage"]["prompt_tokens"] == len(tokens)
        assert chat["choices"][0]["message"]["content"] == expected["choices"][0]["text"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (USER | {"tool_calls": [CALL]}, "Only messages of an assistant make calls"),
        ({"role": "tool", "content": "No"}, "needs a tool_call_id"),
        ({"role": "function", "content": "No"}, "needs the function's name"),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "[1]"}},
            "the text of a JSON object",
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "[" * 60_000}},
            "the text of a JSON object",
        ),
        ({"role": "assistant", "audio": {"id": "x"}}, "does not do this"),
    ],
)
def test_what_no_message_is(live: Live, message: dict[str, Any], said: str) -> None:
    answer = live.post(CHAT, model="base", messages=[USER, message])
    assert answer.json()["error"]["param"].startswith("messages.1")
    assert said in check(answer, 400, "invalid_request", answer.json()["error"]["param"])

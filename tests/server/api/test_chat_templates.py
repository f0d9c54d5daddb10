"""A task with a chat template of its own, over the wire, against Transformers' writing."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import samples
from tests.server.api.live import Live
from tests.server.api.problems import check
from tests.server.engine.call_templates import TEMPLATES

OWN = (
    "{% for message in messages %}"
    "{% if message.content == 'orders' %}{{ raise_exception('No orders here') }}{% endif %}"
    "{% if message.content == 'loop' %}"
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    "{% endif %}"
    "{{ bos_token }}<|{{ message.role }}|> {{ message.content | upper }}"
    "{% endfor %}{{ eos_token }}"
)
CHAT = [{"role": "system", "content": "short"}, {"role": "user", "content": "say <s> it"}]
GREEDY = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}


def add(live: Live, name: str, template: str, **headers: str) -> Any:
    directory = live.write(f"{name}-{time.monotonic_ns()}", samples.generator("lora", live.spec))
    if template:
        (directory / "chat_template.jinja").write_text(template)
    return live.http.put(f"/v1/tasks/{name}", json={"source": directory.as_uri()}, headers=headers)


@pytest.fixture(scope="module")
def own(live: Live) -> str:
    assert add(live, "own", OWN).status_code == 201
    return "own"


def written(live: Live, messages: list[dict[str, str]]) -> list[int]:
    """The chat's tokens as Transformers makes them."""
    tokens = live.engine.base.tokenizer.apply_chat_template(
        messages, chat_template=OWN, add_generation_prompt=True, return_dict=False
    )
    assert isinstance(tokens, list)
    return tokens


def test_it_writes_out_every_chat_of_its_task(live: Live, own: str) -> None:
    tokens = written(live, CHAT)
    expected = live.post("/v1/completions", model=own, prompt=tokens, **GREEDY).json()
    chat = live.post("/v1/chat/completions", model=own, messages=CHAT, **GREEDY).json()
    native = live.infer(own, CHAT, **GREEDY)
    text = expected["choices"][0]["text"]
    assert chat["choices"][0]["message"]["content"] == native["outputs"][0]["text"] == text
    assert chat["usage"]["prompt_tokens"] == native["usage"]["prompt_tokens"] == len(tokens)
    others = live.post("/v1/chat/completions", model="lora", messages=CHAT, **GREEDY).json()
    assert others["usage"]["prompt_tokens"] != len(tokens)


def test_a_plain_text_is_a_user_s_message(live: Live, own: str) -> None:
    tokens = written(live, [{"role": "user", "content": "hello"}])
    assert live.infer(own, "hello", **GREEDY)["usage"]["prompt_tokens"] == len(tokens)


def test_it_is_part_of_the_version(live: Live, own: str) -> None:
    plain, other = add(live, "a", "").json(), add(live, "b", OWN.replace("No", "Not")).json()
    active = live.http.get(f"/v1/tasks/{own}").json()
    assert len({task["version"] for task in (plain, other, active)}) == 3


def test_its_refusal_is_the_caller_s(live: Live, own: str) -> None:
    chat = [{"role": "user", "content": "orders"}]
    answer = live.post("/v1/chat/completions", model=own, messages=chat)
    assert "No orders here" in check(answer, 400, "invalid_request", "messages")
    answer = live.post("/v1/infer", task=own, input=chat)
    assert "No orders here" in check(answer, 400, "invalid_request", "input")


def test_one_that_loops_holds_nobody_up(live: Live, own: str) -> None:
    answered = 0
    with ThreadPoolExecutor(1) as pool:
        looping = pool.submit(live.post, "/v1/infer", task=own, input="loop")
        while not looping.done():
            assert live.http.get("/health").status_code == 200
            assert live.infer("lora", "hello", max_tokens=1)
            answered += 1
    check(looping.result(), 400, "invalid_request", "input")
    # It loops for a second of processor time, in which one is answered a hundred times.
    assert answered > 3
    assert live.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("template", ["{% if %}", "{{ 10 ** (10 ** 10) }}", " "])
def test_an_unsound_one_is_refused_when_it_is_put(live: Live, template: str) -> None:
    assert "template" in check(add(live, "unsound", template), 400, "invalid_delta")


def test_requests_bring_none(live: Live, own: str) -> None:
    body = {"model": own, "messages": CHAT, "chat_template": "mine"}
    answer = live.post("/v1/chat/completions", **body, **GREEDY)
    # It is refused or without effect.
    tokens = len(written(live, CHAT))
    assert answer.status_code == 400 or answer.json()["usage"]["prompt_tokens"] == tokens


def test_a_task_calls_in_the_form_of_its_own_template(live: Live) -> None:
    name = "mistral_args"
    assert add(live, "calling", TEMPLATES[name]).status_code == 201
    schema = {
        "type": "object",
        "properties": {"day": {"enum": ["mon", "tue"]}},
        "required": ["day"],
    }
    asked = {
        "messages": CHAT,
        "tools": [{"type": "function", "function": {"name": "rain", "parameters": schema}}],
        "tool_choice": "required",
        "return_token_ids": True,
    }
    (choice,) = live.post("/v1/chat/completions", model="calling", max_tokens=2000, **asked).json()[
        "choices"
    ]
    calls = [each["function"] for each in choice["message"]["tool_calls"]]
    text = live.engine.base.tokenizer.decode(choice["token_ids"], skip_special_tokens=True)
    assert text == "".join(f"[TOOL_CALLS]{each['name']}[ARGS]{each['arguments']}" for each in calls)
    assert {each["arguments"] for each in calls} <= {'{"day": "mon"}', '{"day": "tue"}'}

"""What is refused of a body, and in which words."""

import http.client
import json
from typing import Any

import openai
import pytest

from server.api.http import limits
from server.api.http.parsing import MAX_CONTAINERS, MAX_DEPTH, MAX_TEXTS, MAX_VALUES
from server.api.inputs import MAX_BATCH
from server.api.unsupported import UnsupportedChat, UnsupportedSampling
from tests.server.api.live import PATIENCE, Live
from tests.server.api.problems import check

JSON = {"content-type": "application/json"}
INFER, CHAT, COMPLETE = "/v1/infer", "/v1/chat/completions", "/v1/completions"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
TEXT = {"type": "text", "text": {}, "x": 1}
READERS = [
    ("POST", INFER),
    ("POST", "/v1/infer/batch"),
    ("POST", CHAT),
    ("POST", COMPLETE),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/v1/unload_lora_adapter"),
    ("PUT", "/v1/tasks/x"),
]


def send(live: Live, path: str, body: str | bytes, method: str = "POST") -> Any:
    return live.http.request(method, path, content=body, headers=JSON)


@pytest.mark.parametrize(("method", "path"), READERS)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1, column 1"),
        (b'{"task": ', "line 1, column 10"),
        (b'{\n"task": tru}', "line 2, column 9"),
        (b'{"task": "\xff"}', "byte 10"),
        (b"[" * MAX_DEPTH + b"[" + b"]" * MAX_DEPTH + b"]", f"{MAX_DEPTH} levels"),
        (b'{"task": "base", "task": "base"}', "repeats the key 'task'"),
        (b'{"a": [{"b": {"c": 1, "d": 2, "c": null}}]}', "repeats the key 'c'"),
        (b'{"a": 1' + b"0" * 500 + b"}", "digits"),
    ],
)
def test_what_is_no_sound_json_is_refused_with_the_place(
    live: Live, method: str, path: str, body: bytes, words: str
):
    response = send(live, path, body, method)
    assert words in check(response, 400, "invalid_request")


@pytest.mark.parametrize(
    ("item", "most", "extra"),
    [("1", MAX_VALUES, 2), ("[]", MAX_CONTAINERS, 2), ('""', MAX_TEXTS, 5)],
)
def test_values_are_counted_before_they_are_made(live: Live, item: str, most: int, extra: int):
    """`extra` values are there beside the items."""

    def body(count: int) -> str:
        text = r"\\\"[[{{,,\"" * 9999  # nothing in a text counts
        items = ",".join([item] * count)
        return json.dumps({"task": "base", "input": text})[:-1] + f', "x": [{items}]}}'

    few, many = (send(live, INFER, body(count)) for count in (most - extra - 3, most + 1))
    assert check(few, 400, "context_length_exceeded", "input")
    message = check(many, 400, "invalid_request")
    assert str(most) in message
    assert "split" in message


def test_a_deep_body_that_is_not_too_deep(live: Live):
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    body = f'{{"task": "spam", "input": "x", "unknown": {deep}}}'
    assert send(live, INFER, body).status_code == 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"task": "x\xff"}', "not UTF-8: see byte 11"),
        (b'{"a": "[[{\\"", "b": ' + b"[" * MAX_DEPTH, f"see byte {19 + MAX_DEPTH}"),
        (rb"\"" * 9 + b"[" * (MAX_DEPTH + 1), "deeper than"),
        (b'{"task": "x",}', "line 1, column 14"),
    ],
)
def test_words_for_what_is_no_body_say_where(live: Live, data: bytes, words: str):
    response = live.http.post(INFER, content=data, headers={"content-type": "application/json"})
    assert words in check(response, 400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "changes", "param"),
    [
        (INFER, {"parameters": {"max_tokens": "5"}}, "parameters.max_tokens"),
        (INFER, {"parameters": {"temperature": "0.5"}}, "parameters.temperature"),
        (INFER, {"parameters": {"n": True}}, "parameters.n"),
        (INFER, {"stream": "true"}, "stream"),
        (INFER, {"stream": 1}, "stream"),
        (CHAT, {"max_tokens": "5"}, "max_tokens"),
        (CHAT, {"seed": "5"}, "seed"),
        (CHAT, {"logprobs": 1}, "logprobs"),
        (CHAT, {"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        (COMPLETE, {"prompt": ["5", 5]}, "prompt.1"),
        (COMPLETE, {"prompt": [5, "5"]}, "prompt.1"),
        (COMPLETE, {"prompt": [5, True]}, "prompt.1"),
        (COMPLETE, {"prompt": [[5], ["5"]]}, "prompt.1.0"),
    ],
)
def test_what_looks_like_a_number_is_none(
    live: Live, path: str, changes: dict[str, Any], param: str
):
    response = live.post(path, **{**valid(path), **changes})
    check(response, 400, "invalid_request", param)


@pytest.mark.parametrize(
    ("path", "changes", "param", "words"),
    [
        (CHAT, {"tool_choice": 3}, "tool_choice", "'required' or an object"),
        (CHAT, {"guided_json": 3}, "guided_json", "an object or a valid boolean or a valid string"),
        (CHAT, {"response_format": {"type": "json_schema"}}, "response_format.json_schema", "req"),
        (CHAT, {"response_format": SCHEMA | {"strict": True}}, "response_format.strict", "leave"),
        (
            CHAT,
            {"response_format": TEXT},
            "response_format.text",
            "leave it out; response_format.x",
        ),
        (CHAT, {"messages": [3]}, "messages.0", "an object"),
        ("/v2/rerank", {"query": 5, "documents": ["x"]}, "query", "query: "),
    ],
)
def test_the_place_of_a_fault_is_one_in_the_body(
    live: Live, path: str, changes: dict[str, Any], param: str, words: str
):
    body = valid(CHAT) if path == CHAT else {"model": "ranker"}
    message = check(live.post(path, **{**body, **changes}), 400, "invalid_request", param)
    assert message.count(f"{param}: ") == 1
    assert words in message


def test_a_whole_number_is_a_number(live: Live):
    assert live.infer("base", "x", temperature=1, top_p=1, max_tokens=1)


def valid(path: str) -> dict[str, Any]:
    return {
        INFER: {"task": "base", "input": "x", "parameters": {"max_tokens": 1}},
        CHAT: {
            "model": "base",
            "messages": [{"role": "user", "content": "x"}],
            "max_tokens": 1,
        },
        COMPLETE: {"model": "base", "prompt": "x", "max_tokens": 1},
    }[path]


CHANGING: dict[str, Any] = {
    "guided_whitespace_pattern": " ",
    "skip_special_tokens": False,
    "repeat_penalty": 1.1,
    "mirostat": 2,
    "n_predict": 5,
}
CHANGING_CHAT: dict[str, Any] = {
    "chat_template": "{{ messages }}",
    "documents": [{"text": "x"}],
}
NEUTRAL: dict[str, Any] = {
    "best_of": 1,
    "bad_words": [],
    "logit_bias": {},
    "stop_token_ids": [],
    "use_beam_search": False,
    "return_token_ids": False,
    "prompt_logprobs": None,
    "guided_json": None,
    "structured_outputs": None,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "typical_p": 1.0,
    "repeat_penalty": 1.0,
    "mirostat": 0,
    # These change nothing but how soon an answer comes, or who is told of it.
    "priority": 3,
    "user": "someone",
    "metadata": {"a": "b"},
    "cache_prompt": True,
}
NEUTRAL_CHAT: dict[str, Any] = {
    "tools": [],
    "tool_choice": "none",
    "parallel_tool_calls": True,
    "add_generation_prompt": True,
    "continue_final_message": False,
    "chat_template_kwargs": {},
    "echo": False,
    "modalities": ["text"],
    "store": False,
}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        *((path, field, CHANGING[field]) for path in (CHAT, COMPLETE) for field in CHANGING),
        *((CHAT, field, CHANGING_CHAT[field]) for field in CHANGING_CHAT),
        (CHAT, "best_of", 2),
        (COMPLETE, "suffix", "x"),
    ],
)
def test_fields_that_would_change_the_answer_are_refused_by_name(
    live: Live, path: str, field: str, value: Any
):
    response = live.post(path, **{**valid(path), field: value})
    assert field in check(response, 400, "invalid_request", field)


def test_the_native_route_refuses_them_too(live: Live):
    response = live.post(INFER, task="base", input="x", parameters={"best_of": 2})
    check(response, 400, "invalid_request", "parameters.best_of")


def test_their_values_that_change_nothing_are_taken(live: Live):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        client.completions.create(
            model="base", prompt="x", max_tokens=1, extra_body={**NEUTRAL, "echo": False}
        )
        client.chat.completions.create(
            model="base",
            messages=[{"role": "user", "content": "x"}],
            max_tokens=1,
            extra_body={**NEUTRAL, **NEUTRAL_CHAT},
        )


def test_the_document_says_which_values_those_are(live: Live):
    schemas = live.http.get("/openapi.json").json()["components"]["schemas"]
    for kind, body in (
        (UnsupportedSampling, "CompletionBody"),
        (UnsupportedSampling, "InferParameters"),
        (UnsupportedChat, "ChatBody"),
    ):
        for field in kind.model_fields:
            assert None in schemas[body]["properties"][field]["enum"]


def test_too_large_a_body_is_told_the_limit_and_the_way_on(live: Live):
    size = limits.MAX_JSON_BYTES + 1
    message = check(send(live, INFER, b" " * size), 413, "payload_too_large")
    assert str(limits.MAX_JSON_BYTES) in message
    assert "split" in message
    connection = http.client.HTTPConnection(*live.address, timeout=PATIENCE)
    connection.putrequest("PUT", "/v1/tasks/x")
    connection.putheader("content-type", "multipart/form-data; boundary=b")
    connection.putheader("content-length", str(1 << 40))
    connection.endheaders()
    response = connection.getresponse()
    detail = json.loads(response.read())["detail"]
    connection.close()
    assert response.status == 413
    assert str(256 << 20) in detail
    assert "--max-body-mb" in detail


def test_a_batch_is_bounded_by_all_its_rows(live: Live):
    def batch(*counts: int, n: int = 1) -> Any:
        parameters = {"n": n, "max_tokens": 1}
        return live.post(
            "/v1/infer/batch",
            requests=[
                {"task": "base", "input": ["x"] * count, "parameters": parameters}
                for count in counts
            ],
        )

    before = live.http.get("/metrics").text
    for response in (batch(MAX_BATCH, 1), batch(*[MAX_BATCH] * 60), batch(65, 64, n=2)):
        assert "split" in check(response, 400, "invalid_request", "requests")
    assert "split" in check(batch(*[MAX_BATCH] * MAX_BATCH), 400, "invalid_request")
    assert tokens_read(live.http.get("/metrics").text) == tokens_read(before)
    assert batch(MAX_BATCH - 1, 1).status_code == 200


def tokens_read(metrics: str) -> list[str]:
    return [line for line in metrics.splitlines() if "prompt_tokens_total" in line]

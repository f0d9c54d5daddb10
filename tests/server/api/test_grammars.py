"""Every field in which clients say what an answer must keep to."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import openai
import pydantic
import pytest

from tests import samples
from tests.server.api.live import Live
from tests.server.api.problems import check

CHAT, COMPLETE, INFER = "/v1/chat/completions", "/v1/completions", "/v1/infer"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}, "x": {"const": None}},
    "required": ["age", "x"],
    "additionalProperties": False,
}
GBNF = 'root ::= ("a" | "b") [0-9]'
LARK = 'start: ("a" | "b") /[0-9]/'
OPTIONS: dict[str, Any] = {"max_tokens": 120, "temperature": 1, "seed": 3}


def person(text: str) -> bool:
    value = json.loads(text)
    return set(value) == {"age", "x"} and 0 <= value["age"] <= 99 and value["x"] is None


def letter(text: str) -> bool:
    return re.fullmatch("[ab][0-9]", text) is not None


ASKED: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "p", "schema": SCHEMA},
            }
        },
        person,
    ),
    ({"structured_outputs": {"json": SCHEMA}}, person),
    ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, person),
    ({"structured_outputs": {"regex": "[ab][0-9]"}}, letter),
    ({"structured_outputs": {"choice": ["a1", "b2"]}}, letter),
    ({"structured_outputs": {"grammar": LARK}}, letter),
    ({"guided_json": SCHEMA}, person),
    ({"guided_regex": "[ab][0-9]"}, letter),
    ({"guided_choice": ["a1", "b2"]}, letter),
    ({"guided_grammar": GBNF}, letter),
    ({"json_schema": SCHEMA}, person),
    ({"grammar": GBNF}, letter),
]
NATIVE: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    ({"schema": SCHEMA}, person),
    ({"regex": "[ab][0-9]"}, letter),
    ({"choice": ["a1", "b2"]}, letter),
    ({"grammar": GBNF}, letter),
]


@pytest.mark.parametrize(("asked", "holds"), ASKED)
@pytest.mark.parametrize("stream", [False, True])
def test_openais_routes(
    live: Live, asked: dict[str, Any], holds: Callable[[str], bool], stream: bool
) -> None:
    if not stream:
        chat = live.post(CHAT, model="lora", messages=HELLO, **OPTIONS, **asked).json()["choices"][
            0
        ]
        assert holds(chat["message"]["content"]), chat
        text = live.post(COMPLETE, model="base", prompt="x", **OPTIONS, **asked).json()["choices"][
            0
        ]
        assert holds(text["text"]), text
        assert chat["finish_reason"] == text["finish_reason"] == "stop"
        return
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none") as client:
        chunks = client.chat.completions.create(
            model="lora", messages=HELLO, stream=True, **OPTIONS, extra_body=asked
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert holds(text), text


HELLO: Any = [{"role": "user", "content": "hello"}]


def tagged(text: str) -> bool:
    """Whether each part that the trigger begins is a tag whose content keeps to the schema."""
    called = [each.removeprefix("=p>").partition("</f>")[0] for each in text.split("<f")[1:]]
    return all(map(person, called))


TAG_PARTS: list[dict[str, Any]] = [{"begin": "<f=p>", "end": "</f>"}]
TAG = {
    "type": "structural_tag",
    "format": {
        "type": "triggered_tags",
        "triggers": ["<f"],
        "tags": [
            {**each, "content": {"type": "json_schema", "json_schema": SCHEMA}}
            for each in TAG_PARTS
        ],
        "at_least_one": True,
    },
}
OLDER_TAG = {
    "type": "structural_tag",
    "structures": [{**each, "schema": SCHEMA} for each in TAG_PARTS],
    "triggers": ["<f"],
}


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({"structured_outputs": {"structural_tag": json.dumps(TAG)}}, "<f=p>"),
        ({"structured_outputs": {"structural_tag": TAG}}, "<f=p>"),
        ({"response_format": TAG}, "<f=p>"),
        ({"response_format": OLDER_TAG}, ""),
        ({"structural_tag": json.dumps(OLDER_TAG)}, ""),
    ],
)
def test_structural_tags(live: Live, asked: dict[str, Any], begins: str) -> None:
    for path, message in (CHAT, {"messages": HELLO}), (COMPLETE, {"prompt": "x"}):
        (choice,) = live.post(path, model="base", **message, **OPTIONS, **asked).json()["choices"]
        text = choice["text"] if path == COMPLETE else choice["message"]["content"]
        assert text.startswith(begins)
        assert tagged(text), text


@pytest.mark.parametrize(("asked", "holds"), NATIVE)
def test_the_native_route(live: Live, asked: dict[str, Any], holds: Callable[[str], bool]) -> None:
    output = live.infer("lora", ["hello", "noon"], **OPTIONS, n=2, **asked)["outputs"]
    assert len(output) == 4
    assert all(holds(each["text"]) for each in output), output


@pytest.mark.parametrize(
    "asked", [{"response_format": {"type": "json_object"}}, {"guided_json_object": True}]
)
def test_any_object(live: Live, asked: dict[str, Any]) -> None:
    choice = live.post(CHAT, model="base", messages=HELLO, **OPTIONS, **asked).json()["choices"][0]
    text = choice["message"]["content"]
    assert text.lstrip().startswith("{")
    assert choice["finish_reason"] == "length" or isinstance(json.loads(text), dict)


def test_openais_parse(live: Live) -> None:
    class Person(pydantic.BaseModel):
        age: int = pydantic.Field(ge=0, le=99)
        sure: bool

    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none") as client:
        chat = client.chat.completions.parse(
            model="lora", messages=HELLO, response_format=Person, **OPTIONS
        )
    assert isinstance(chat.choices[0].message.parsed, Person)


@pytest.mark.parametrize(
    ("asked", "param", "words"),
    [
        ({"guided_regex": "a", "grammar": GBNF}, "grammar", "guided_regex, grammar"),
        (
            {"structured_outputs": {"regex": "a", "choice": ["a"]}},
            "structured_outputs.choice",
            "structured_outputs.regex",
        ),
        ({"guided_json": {"not": {}}}, "guided_json", "not"),
        ({"json_schema": {"uniqueItems": True}}, "json_schema", "uniqueItems"),
        ({"guided_regex": "a(?=b)"}, "guided_regex", "look-ahead"),
        ({"guided_choice": []}, "guided_choice", "at least 1"),
        ({"grammar": "root ::= missing"}, "grammar", "missing"),
        ({"structured_outputs": {"whitespace_pattern": " "}}, "structured_outputs", "leave it out"),
        ({"structured_outputs": {"structural_tag": "{"}}, "structured_outputs", "structural tag"),
        (
            {"response_format": {"type": "structural_tag", "format": {"type": "token"}}},
            "response_format",
            '"token" is not supported',
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}},
            "response_format.json_schema.schema",
            "not",
        ),
        (
            {"response_format": {"type": "json_object", "json_schema": {"schema": SCHEMA}}},
            "response_format.json_schema",
            "does not know this field",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schemas": SCHEMA}}},
            "response_format.json_schema.schemas",
            "does not know this field",
        ),
        ({"structured_outputs": {"lark": LARK}}, "structured_outputs.lark", "leave it out"),
        ({"response_format": TAG | {"tags": []}}, "response_format", "tags"),
        ({"response_format": {"type": "yaml"}}, "response_format", "json_schema"),
    ],
)
def test_what_is_refused(live: Live, asked: dict[str, Any], param: str, words: str) -> None:
    response = live.post(CHAT, model="base", messages=HELLO, **asked)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"].startswith(param)
    assert words in error["message"]


def test_the_native_route_refuses_others_names(live: Live) -> None:
    response = live.post(INFER, task="base", input="x", parameters={"guided_regex": "a"})
    check(response, 400, "invalid_request", "parameters.guided_regex")
    response = live.post(INFER, task="spam", input="x", parameters={"regex": "a"})
    check(response, 400, "capability_mismatch", "task")


def put(live: Live, name: str, schema: Any) -> Any:
    directory = live.write(f"{name}-{time.monotonic_ns()}", samples.generator("lora", live.spec))
    (directory / "answer_schema.json").write_text(json.dumps(schema))
    return live.http.put(f"/v1/tasks/{name}", json={"source": directory.as_uri()})


def test_a_task_has_a_schema_of_its_own(live: Live) -> None:
    assert put(live, "people", SCHEMA).status_code == 201
    for _ in range(3):
        assert person(live.infer("people", "hello", **OPTIONS)["outputs"][0]["text"])
    chat = live.post(CHAT, model="people", messages=HELLO, **OPTIONS).json()["choices"][0]
    assert person(chat["message"]["content"])
    own = live.infer("people", "hello", **OPTIONS, regex="[ab][0-9]")
    assert letter(own["outputs"][0]["text"])


def test_a_task_whose_schema_is_none_is_refused(live: Live) -> None:
    message = check(put(live, "odd", {"not": {}}), 400, "invalid_delta")
    assert "answer_schema.json" in message
    assert "not" in message
    check(put(live, "odd", ["no object"]), 400, "invalid_delta")
    assert live.http.get("/v1/tasks/odd").status_code == 404

"""Results: how they show themselves, and answers that are read by a schema."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from polydelta_client import Message, Polydelta

from .answers import inference, task
from .server import ScriptedServer, answer

SPAM = {"label": "spam", "score": 0.9, "scores": {"spam": 0.9, "ham": 0.1}}


class Person(pydantic.BaseModel):
    """What a text is to say."""

    name: str
    age: int


@dataclass
class Place:
    """The same without pydantic's base class."""

    name: str


def _says(text: str, finish_reason: str = "stop") -> dict[str, object]:
    return {"text": text, "finish_reason": finish_reason}


def _page(result: Any) -> str:
    """What a notebook shows."""
    return result._repr_html_()


def test_a_result_is_dumped_as_it_was_answered(client: Polydelta, server: ScriptedServer) -> None:
    for body in (inference(SPAM), inference({"embedding": [0.5]})):
        server.script(answer(body))
        result = client.infer("spam", "text")
        assert result.model_dump() == body
        assert json.loads(result.model_dump_json()) == body
    server.script(answer(task("spam")))
    unsaid = {"warnings": [], "tenant": "", "last_error": None}
    assert client.tasks.get("spam").model_dump() == task("spam") | unsaid


def test_a_result_is_short_in_a_terminal(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference({"embedding": [0.123456789] * 384})))
    shown = repr(client.infer("base", "text"))
    assert "Embedding(embedding=[0.123457, 0.123457, 0.123457, 0.123457, … +380])" in shown
    server.script(answer(inference(*[_says("word " * 1000)] * 9)))
    shown = repr(client.infer("base", ["text"] * 9))
    assert len(shown) < 1000
    assert "… +4940" in shown
    server.script(answer(inference(SPAM)))
    assert "scores={'spam': 0.9, 'ham': 0.1}" in repr(client.infer("spam", "text"))


def test_a_notebook_shows_a_table(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(_says("<b>bold</b> & so on\n" * 99), SPAM)))
    page = _page(client.infer("base", ["a", "b"]))
    assert page.startswith("<table")
    assert "<b>" not in page
    assert page.count("&lt;b&gt;bold&lt;/b&gt; &amp; so on\n") == 99
    assert page.index("<th>spam</th>") < page.index("<th>ham</th>")
    entity = {"label": "PER", "start": 0, "end": 3, "text": "Ada", "score": 1}
    server.script(answer(inference({"entities": [entity]})), answer(task("spam")))
    assert "<th>PER</th>" in _page(client.infer("names", "Ada"))
    assert "<th>resident</th>" in _page(client.tasks.get("spam"))


def test_a_message_is_made_by_its_name(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(_says("hello"))))
    client.infer("chat", [Message(role="user", content="hi")])
    assert server.received[0].json["input"] == [{"role": "user", "content": "hi"}]


def test_calls_of_tools(client: Polydelta, server: ScriptedServer) -> None:
    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    call = {"id": "call-1", "type": "function", "function": function}
    output = {"text": "", "finish_reason": "tool_calls", "reasoning": "hm", "tool_calls": [call]}
    server.script(answer(inference(output)), answer(inference(_says("Sunny."))))
    tools = [{"type": "function", "function": {"name": "weather"}}]
    asked = [Message(role="user", content="Paris?")]
    (made,) = client.infer("chat", asked, tools=tools).tool_calls
    assert (made.id, made.name, made.arguments) == ("call-1", "weather", {"city": "Paris"})
    turns = [
        *asked,
        Message(role="assistant", tool_calls=[made.model_dump()]),
        Message(role="tool", tool_call_id=made.id, content="sun"),
    ]
    assert client.infer("chat", turns).tool_calls == []
    assert server.received[0].json["parameters"] == {"tools": tools}
    assert server.received[1].json["input"][1]["tool_calls"] == [call]


def test_a_model_reads_the_text(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(_says('{"name": "Ada", "age": 36}'))))
    result = client.infer("people", "text", schema=Person, max_tokens=9)
    assert result.parsed == Person(name="Ada", age=36)
    assert result.request_id == "req-1"
    sent = server.received[0].json["parameters"]
    assert sent == {"max_tokens": 9, "schema": Person.model_json_schema()}


def test_any_type_that_pydantic_knows_and_plain_schemas(
    client: Polydelta, server: ScriptedServer
) -> None:
    server.script(answer(inference(_says('{"name": "Paris"}'), _says('{"name": "Rome"}'))))
    places = client.infer("places", ["a", "b"], schema=Place).all_parsed
    assert places == [Place("Paris"), Place("Rome")]
    server.script(answer(inference(_says("[1, 2]"))), answer(inference(_says("[1, 2]"))))
    assert client.infer("numbers", "text", schema=list[int]).parsed == [1, 2]
    assert client.infer("numbers", "text", schema={"type": "array"}).parsed == [1, 2]
    assert server.received[2].json["parameters"] == {"schema": {"type": "array"}}


def test_a_batch_has_schemas_too(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer({"results": [inference(_says("3")), inference(SPAM)]}))
    number, spam = client.infer_many([("count", "text", {"schema": int}), ("spam", "text")])
    assert getattr(number, "parsed", None) == 3
    assert not hasattr(spam, "parsed")
    assert server.received[0].json["requests"][0]["parameters"] == {"schema": {"type": "integer"}}


def test_a_text_that_is_not_of_its_schema(client: Polydelta, server: ScriptedServer) -> None:
    server.script(answer(inference(_says('{"name": "Ada", "a', "length"))))
    with pytest.raises(ValueError, match="give it more max_tokens"):
        _ = client.infer("people", "text", schema=Person).parsed
    server.script(answer(inference(_says('{"name": "Ada"}'))))
    with pytest.raises(pydantic.ValidationError, match="age"):
        _ = client.infer("people", "text", schema=Person).parsed


def test_a_type_needs_pydantic(client: Polydelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ImportError, match="pip install pydantic"):
        client.infer("people", "text", schema=Person)

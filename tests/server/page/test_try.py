"""Try: what each of the chosen tasks answers, side by side."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from server.engine.answer import Answer
from server.engine.request import Request
from tests.server.api.live import Live
from tests.server.page.conftest import LABELS, Visit

FIRST_VIEW_BYTES = 100_000


def _ask(visit: Visit, text: str) -> None:
    visit.page.get_by_label("Input").fill(text)
    visit.page.keyboard.press("Control+Enter")


def _column(visit: Visit, task: str) -> Locator:
    return visit.page.get_by_role("article", name=task, exact=True)


def _answered(visit: Visit, *tasks: str) -> None:
    for task in tasks:
        expect(_column(visit, task)).to_have_attribute("aria-busy", "false")


def test_the_first_view_is_small_and_asks_nobody_else(live: Live, visit: Visit) -> None:
    sent: list[int] = []
    visit.page.on("requestfinished", lambda request: sent.append(_bytes(request)))
    visit.page.goto(live.url)
    expect(visit.page.get_by_role("article")).to_have_count(3)
    assert all(url.startswith(live.url) for url in visit.asked)
    assert 10_000 < sum(sent) < FIRST_VIEW_BYTES


def _bytes(request) -> int:
    sizes = request.sizes()
    return sizes["responseBodySize"] + sizes["responseHeadersSize"]


def test_the_base_and_tasks_answer_side_by_side(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    _ask(visit, "hello there")
    _answered(visit, "base", "lora", "spam")
    for task in ("base", "lora"):
        expected = live.infer(task, "hello there")["outputs"][0]["text"]
        assert _column(visit, task).locator(".written").inner_text().strip() == expected.strip()
    verdict = live.infer("spam", "hello there")["outputs"][0]
    expect(_column(visit, "spam").locator(".verdict")).to_have_text(verdict["label"])
    rows = _column(visit, "spam").get_by_role("listitem")
    expect(rows).to_have_text(
        [
            re.compile(f"{label}.*{score:.3f}", re.DOTALL)
            for label, score in verdict["scores"].items()
        ]
    )
    assert len(LABELS) == rows.count()


def test_options_and_a_schema_reach_the_answer(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    visit.page.get_by_text("Options for tasks that write").click()
    visit.page.get_by_label("Longest answer").fill("24")
    schema = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    field = visit.page.get_by_label("JSON schema")
    field.fill("{")
    expect(visit.page.get_by_text("This is no JSON yet")).to_be_visible()
    field.fill(json.dumps(schema))
    _ask(visit, "hello")
    _answered(visit, "base")
    assert json.loads(_column(visit, "base").locator(".written").inner_text()) == {"a": 1}


def test_tools_are_offered_and_their_calls_shown(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    visit.page.get_by_text("Options for tasks that write").click()
    field = visit.page.get_by_label("Tools that the answer may call")
    field.fill("{}")
    expect(visit.page.get_by_text("Tools are a list")).to_be_visible()
    field.fill("")
    visit.page.get_by_role("button", name="Example of: Tools").click()
    (tool,) = json.loads(field.input_value())
    assert tool["function"]["name"] == "weather"
    visit.page.get_by_label("It must call one").check()
    _ask(visit, "Will it rain?")
    _answered(visit, "base", "lora")
    call = _column(visit, "lora").get_by_role("list", name="Calls of tools").get_by_role("listitem")
    expect(call.first).to_contain_text("calls weather")
    expect(call.first.get_by_role("definition")).to_have_count(2)
    expected = live.infer(
        "lora", [{"role": "user", "content": "Will it rain?"}], tools=[tool], tool_choice="required"
    )["outputs"][0]["tool_calls"]
    units = [json.loads(each["function"]["arguments"])["unit"] for each in expected]
    assert [each.inner_text() for each in call.locator("dd:last-child").all()] == units


OPTIONS = {
    "Longest answer": ("max_tokens", 9),
    "Temperature": ("temperature", 0.7),
    "Top p": ("top_p", 0.9),
    "Top k": ("top_k", 20),
    "Min p": ("min_p", 0.05),
    "Repetition penalty": ("repetition_penalty", 1.1),
    "Presence penalty": ("presence_penalty", 0.3),
    "Frequency penalty": ("frequency_penalty", -0.2),
    "Seed": ("seed", 7),
}


@pytest.mark.parametrize("tools", [False, True])
def test_copied_code_asks_for_what_the_page_asks_for(
    live: Live, visit: Visit, monkeypatch: pytest.MonkeyPatch, tools: bool
) -> None:
    visit.page.goto(live.url)
    visit.page.get_by_text("Options for tasks that write").click()
    for label, (_, value) in OPTIONS.items():
        visit.page.get_by_label(label).fill(str(value))
    visit.page.get_by_label("Stop before").fill('"end"')
    visit.page.get_by_role("button", name="Example of: " + ("Tools" if tools else "JSON")).click()
    visit.page.get_by_role("button", name="Take base away").click()
    submitted = _submitted(live, monkeypatch)
    _ask(visit, "it's so")
    _answered(visit, "lora")
    visit.page.get_by_role("button", name="Copy as code: lora").click()
    codes: dict[str, str] = {}
    for form in ("curl", "Python", "openai"):
        visit.page.get_by_role("button", name=form, exact=True).click()
        codes[form] = visit.page.get_by_role("dialog").locator("code").inner_text()
    python = f"{codes['Python']}\n{codes['openai']}"
    for command in (["bash", "-c", codes["curl"]], [sys.executable, "-c", python]):
        subprocess.run(command, check=True, capture_output=True)
    first, *others = [(each.sampling, each.tools, each.grammar) for each in submitted]
    assert others == [first] * 3
    assert {name: getattr(first[0], name) for name, _ in OPTIONS.values()} == dict(OPTIONS.values())
    assert first[0].stop == ('"end"',)
    assert bool(first[1]) is tools
    assert (first[2] is None) is tools


def _submitted(live: Live, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the engine is asked from now on of the task that writes."""
    found: list[Request] = []
    submit = live.engine.submit

    async def noted(request: Request, *others: Any) -> Answer:
        if request.task == "lora":
            found.append(request)
        return await submit(request, *others)

    monkeypatch.setattr(live.engine, "submit", noted)
    return found


def test_tasks_are_found_chosen_and_taken_away(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    visit.page.get_by_role("button", name="Take lora away").click()
    expect(visit.page.get_by_role("article")).to_have_count(2)
    visit.page.locator("body").press("/")
    visit.page.keyboard.type("lor")
    expect(visit.page.get_by_role("checkbox")).to_have_count(1)
    visit.page.get_by_role("checkbox", name="lora").check()
    expect(visit.page.get_by_role("article")).to_have_count(3)
    visit.page.get_by_role("searchbox").fill("")
    visit.page.get_by_role("button", name="labels").click()
    expect(visit.page.get_by_role("checkbox")).to_have_count(1)
    visit.page.get_by_role("button", name="lora", exact=True).click()
    expect(visit.page.get_by_text("No task is like that")).to_be_hidden()


def test_entities_are_marked_and_embeddings_compared(reader: Live, visit: Visit) -> None:
    visit.page.goto(reader.url)
    text = "Zoë 👋🏽 Ada\nhello there\nhello there"
    _ask(visit, text)
    _answered(visit, "base", "names", "topic")
    found = reader.infer("names", text)["outputs"][0]["entities"]
    marks = _column(visit, "names").locator("mark")
    shown = [mark.evaluate("each => each.firstChild.data") for mark in marks.all()]
    assert shown == [entity["text"] for entity in found] != []
    table = _column(visit, "base").get_by_role("table")
    expect(table.get_by_role("row").nth(3).get_by_role("cell")).to_have_count(3)
    expect(table.get_by_role("row").nth(2).get_by_role("cell").nth(2)).to_have_text("1.00")


@pytest.mark.parametrize("form", ["curl", "Python", "openai"])
def test_a_request_is_copied_as_code(live: Live, visit: Visit, form: str) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.goto(live.url)
    visit.page.get_by_label("Input").fill('it\'s "so"\nand $HOME')
    visit.page.get_by_role("button", name="Copy as code: lora").click()
    visit.page.get_by_role("button", name=form, exact=True).click()
    visit.page.get_by_role("button", name="Copy", exact=True).click()
    expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    assert "lora" in visit.page.evaluate("navigator.clipboard.readText()")


def test_an_error_says_what_to_do(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    _ask(visit, "word " * 3000)
    expect(_column(visit, "spam").get_by_role("alert")).to_contain_text("maximum context length")
    expect(_column(visit, "base").get_by_role("alert")).to_contain_text("maximum context length")

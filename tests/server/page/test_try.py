"""Try: what each of the chosen tasks answers, side by side."""

import json
import re

import pytest
from playwright.sync_api import Locator, expect

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
    visit.page.get_by_role("button", name="Copy lora as code").click()
    visit.page.get_by_role("button", name=form, exact=True).click()
    visit.page.get_by_role("button", name="Copy", exact=True).click()
    expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
    assert "lora" in visit.page.evaluate("navigator.clipboard.readText()")


def test_an_error_says_what_to_do(live: Live, visit: Visit) -> None:
    visit.page.goto(live.url)
    _ask(visit, "word " * 3000)
    expect(_column(visit, "spam").get_by_role("alert")).to_contain_text("maximum context length")
    expect(_column(visit, "base").get_by_role("alert")).to_contain_text("maximum context length")

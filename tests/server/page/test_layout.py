"""How the page lies on a screen: nothing is wider than it, and texts go as their letters do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests import samples
from tests.server.api.live import Live, serving
from tests.server.page.conftest import LABELS, Visit

LONG = "support-tickets-in-several-languages.v2-final-candidate"
COLUMNS = 8
WIDTHS = (360, 1280, 1920)
ARABIC = "رفع البنك المركزي سعر الفائدة (the third rise)."
_BEYOND = "(element) => element.scrollWidth - element.clientWidth"
_FROM_THE_RIGHT = """
    (element) => {
        const range = document.createRange();
        range.setStart(element.firstChild, 0);
        range.setEnd(element.firstChild, 1);
        return element.getBoundingClientRect().right - range.getBoundingClientRect().right;
    }
"""


@pytest.fixture(scope="module")
def many(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """As many tasks as are compared, one of which has a long name."""
    with serving(decoder, tmp_path_factory.mktemp("many"), drain_timeout=0) as server:
        for name in (LONG, *(f"task-{at}" for at in range(COLUMNS - 2))):
            server.add(name, samples.classifier(server.spec, LABELS))
        yield server


def _write(route: Route) -> None:
    """Answer as a base that writes Arabic."""
    if route.request.post_data_json["task"] != "base":
        route.continue_()
        return
    event = {"text": ARABIC, "finish_reason": "stop"}
    route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(event)}\n\n")


def _fits(page: Page) -> None:
    assert page.locator("html").evaluate(_BEYOND) <= 0


def _fully_shown(found: Locator) -> None:
    assert found.evaluate(_BEYOND) <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_no_view_is_wider_than_the_screen(many: Live, visit: Visit, width: int) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(many.url)
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name=re.compile("^Ask ")).click()
    expect(page.locator(".verdict")).to_have_count(COLUMNS - 1)
    page.get_by_text("Options for tasks that write").click()
    _fits(page)
    page.goto(f"{many.url}/#tasks")
    expect(page.get_by_role("link", name=LONG)).to_be_visible()
    _fits(page)
    _fully_shown(page.locator(".rows"))
    page.get_by_role("link", name=LONG).click()
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    _fits(page)
    page.goto(f"{many.url}/#now")
    expect(page.locator(".chart canvas")).to_have_count(2)
    _fits(page)


def test_what_is_written_from_right_to_left_begins_at_the_right(many: Live, visit: Visit) -> None:
    page = visit.page
    page.route("**/v1/infer", _write)
    page.goto(many.url)
    page.get_by_label("Input").fill(ARABIC)
    page.get_by_role("button", name=re.compile("^Ask ")).click()
    written = page.get_by_role("article", name="base").locator(".written")
    expect(written).to_have_text(ARABIC)
    assert written.evaluate(_FROM_THE_RIGHT) < 1

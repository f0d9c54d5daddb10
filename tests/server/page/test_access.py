"""Everybody can use the page: axe-core finds nothing, in light and dark, narrow and wide."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests import samples
from tests.server.api.live import Live
from tests.server.page.conftest import LABELS, Visit

SIZES = {"phone": (390, 800), "wide": (1600, 900)}


@pytest.fixture(scope="module")
def two(live: Live) -> Iterator[Live]:
    for seed in (1, 2):
        live.add("two", samples.classifier(live.spec, LABELS, seed=seed))
    return live


def _asked(page: Page) -> None:
    page.get_by_text("Options for tasks that write").click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".verdict").first).to_be_visible()


def _copied(page: Page) -> None:
    page.get_by_role("button", name="Copy as code: spam").click()


def _removed(page: Page) -> None:
    page.get_by_text("Share requests among versions").click()


def _chosen(page: Page) -> None:
    page.get_by_role("button", name="labels").click()


def _listened(page: Page) -> None:
    expect(page.locator(".chart canvas").first).to_be_visible()


VIEWS = {
    "now": ("now", _listened),
    "try": ("try", _asked),
    "code": ("try", _copied),
    "tasks": ("tasks", _chosen),
    "task": ("tasks/two", _removed),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(two: Live, visit: Visit, view: str, scheme: str, size: str) -> None:
    place, prepare = VIEWS[view]
    width, height = SIZES[size]
    visit.page.set_viewport_size({"width": width, "height": height})
    visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visit.page.goto(f"{two.url}/#{place}")
    prepare(visit.page)
    found = Axe().run(visit.page)
    assert found.violations_count == 0, found.generate_report()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width

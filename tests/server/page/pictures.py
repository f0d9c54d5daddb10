"""`python -m tests.server.page.pictures URL`: the picture in docs, of a running demo's page."""

import os
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.server.page.conftest import chromium

DOCS = Path(__file__).parents[3] / "docs"
ANSWER_MS = 60_000


def main(url: str) -> None:
    """Ask three tasks and take the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium() or os.devnull)
        page = browser.new_page(viewport={"width": 1360, "height": 600}, color_scheme="light")
        page.goto(url)
        page.get_by_role("article").first.wait_for()
        page.keyboard.press("Control+Enter")
        busy = page.locator("article[aria-busy=true]")
        expect(page.locator(".verdict").first).to_be_visible(timeout=ANSWER_MS)
        expect(busy).to_have_count(0, timeout=ANSWER_MS)
        page.screenshot(path=DOCS / "page.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

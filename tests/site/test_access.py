"""Everybody can read the site: axe-core finds nothing on any page, in light and dark."""

import os
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from tests.server.page.conftest import chromium


@pytest.mark.long
@pytest.mark.skipif(chromium() is None, reason="There is no Chromium: `make browser` installs it.")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(site: Path, scheme: Literal["light", "dark"]) -> None:
    found: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium() or os.devnull)
        page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
        for file in sorted(site.rglob("*.html")):
            page.goto(file.as_uri())
            result = Axe().run(page)
            if result.violations_count:
                found.append(f"{file.relative_to(site)}: {result.generate_report()}")
        browser.close()
    assert not found, "\n\n".join(found)

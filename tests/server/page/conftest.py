"""The page of a server over a tiny base, in real Chromium."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import samples
from tests.bases import save_base
from tests.server.api.live import PATIENCE, Live, serving
from tests.server.page.pictures import Pictures

LABELS = ("ham", "spam", "odd")
# What is expected within five seconds takes longer where the machine has other work.
expect.set_options(timeout=1000 * PATIENCE)

CHROMIUM = ("chromium-headless-shell", "chromium", "google-chrome")


def chromium() -> str | None:
    """Where the system's Chromium is."""
    names = [os.environ.get("CHROMIUM", ""), *CHROMIUM]
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module, since Playwright has an event loop run for as long as it is there."""
    found = chromium()
    if found is None:
        pytest.skip("There is no Chromium: `make browser` installs Debian's.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A decoder with room for what tools take of a prompt."""
    folder = tmp_path_factory.mktemp("bases") / "tiny-llama"
    base = save_base("llama", folder, max_position_embeddings=4096)
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        server.add("lora", samples.generator("lora", server.spec))
        server.add("spam", samples.classifier(server.spec, LABELS))
        yield server


@pytest.fixture(scope="module")
def reader(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(encoder, tmp_path_factory.mktemp("reader"), drain_timeout=0) as server:
        server.add("topic", samples.classifier(server.spec, LABELS, kind="bottleneck"))
        server.add("names", samples.tagger(server.spec, ("B-PER", "I-PER", "B-LOC")))
        yield server


class Visit:
    """A page that a browser has open, what it asked for and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))

    def _heard(self, kind: str, text: str) -> None:
        # Chromium says of each status above 399 that a resource failed; the page says what it was.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.faults.append(text)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A page without faults when its test ends."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(1000 * PATIENCE)
    visit = Visit(context.new_page())
    yield visit
    # What a test answers itself may be under way.
    visit.page.unroute_all(behavior="wait")
    context.close()
    assert visit.faults == []


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Pictures:
    return Pictures(wanted=request.config.getoption("--pictures"))

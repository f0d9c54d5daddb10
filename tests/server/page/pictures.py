"""Pictures of the page for docs: tests that go where they are taken write them when asked to."""

from pathlib import Path

from playwright.sync_api import Page

DOCS = Path(__file__).parents[3] / "docs"


class Pictures:
    """Writes pictures into docs, or nothing where they are not wanted."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted

    def take(self, page: Page, name: str, height: int, *, after: float = 0) -> None:
        """Write docs/NAME.png, the top of a wide page, after so many seconds."""
        if not self._wanted:
            return
        before = page.viewport_size
        page.set_viewport_size({"width": 1360, "height": height})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000 * after)
        # Playwright would hide the caret by a style of its own, which the page's policy forbids.
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=DOCS / f"{name}.png", caret="initial")
        if before is not None:
            page.set_viewport_size(before)

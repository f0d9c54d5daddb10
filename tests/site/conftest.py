"""The documentation's site, built once."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.site.build import build


class Html(HTMLParser):
    """The ids of a page, and where its tags lead: (tag, address)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.leads: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src", "srcset", "action", "data") and value:
                self.leads.append((tag, value))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site") / "docs")


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Html]:
    return {file: Html(file.read_text()) for file in site.rglob("*.html")}

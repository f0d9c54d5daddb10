"""The site is whole: it has every page, its links lead somewhere, and it asks no other host."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.site.build import ROOT, BuildError, build
from tests.site.conftest import Html

WRITTEN = sorted((ROOT / "docs").glob("*.md"))
FIRST = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "clients" / "python" / "README.md"]


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert {file.name for file in WRITTEN} <= set(named)


def test_a_warning_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a link that leads nowhere is one."""
    pages = {"api/native.md": "# Native\n\n[nowhere](nowhere.md)\n"}
    monkeypatch.setattr("docs.site.reference.pages", lambda _: pages)
    with pytest.raises(BuildError, match=r"nowhere\.md"):
        build(tmp_path / "docs")


def test_every_route_is_on_a_page(site: Path) -> None:
    told = "".join((site / "api" / f"{name}.html").read_text() for name in ("native", "openai"))
    for route in ("POST /v1/infer", "PUT /v1/tasks/{name}", "POST /v1/chat/completions"):
        assert route in told
    assert "max_tokens" in told
    assert "Refused, but for the values that change nothing" in told


def test_docstrings_are_on_the_page_of_the_sdk(pages: dict[Path, Html], site: Path) -> None:
    ids = pages[site / "sdk.html"].ids
    assert {"polydelta_client.Polydelta.infer", "polydelta_client.tasks.Tasks.put"} <= ids


def test_links_within_the_site_lead_somewhere(pages: dict[Path, Html]) -> None:
    lost: list[str] = []
    for file, page in pages.items():
        for _, address in page.leads:
            to = urlsplit(address)
            if to.scheme or to.netloc or address == "." or file.name == "404.html":
                continue
            target = (file.parent / unquote(to.path)).resolve() if to.path else file
            sound = target.exists() and (
                not to.fragment or target not in pages or unquote(to.fragment) in pages[target].ids
            )
            if not sound:
                lost.append(f"{file.name}: {address}")
    assert lost == []


def test_nothing_is_asked_of_another_host(pages: dict[Path, Html], site: Path) -> None:
    foreign = [
        f"{file.name}: {tag} {address}"
        for file, page in pages.items()
        for tag, address in page.leads
        if tag != "a" and (urlsplit(address).netloc or urlsplit(address).scheme not in ("", "data"))
    ]
    styles = "".join(file.read_text() for file in site.rglob("*.css"))
    foreign += re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", styles)
    assert foreign == []


@pytest.mark.parametrize("file", FIRST, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_of_pages_outside_the_site_lead_somewhere(file: Path) -> None:
    """Their anchors are those of headings, as GitHub writes them."""
    for address in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        to = urlsplit(address)
        if to.scheme:
            assert to.scheme in ("http", "https"), address
            assert "." in to.netloc, address
            continue
        target = (file.parent / to.path).resolve() if to.path else file
        assert target.exists(), address
        if to.fragment:
            assert to.fragment in _anchors(target), address


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}

"""The site for language models has all of the site, and its links lead to Markdown."""

import re
from pathlib import Path

from docs.site.llms import FULL, INDEX


def linked(site: Path) -> list[tuple[str, str]]:
    """The titles and paths of the pages that the index names."""
    text = (site / INDEX).read_text()
    return re.findall(r"^- \[([^]]+)\]\(([^)]+)\)(?:: .+)?$", text, re.MULTILINE)


def test_the_index_has_the_form_that_its_readers_expect(site: Path) -> None:
    """Title, summary, then sections of links alone: https://llmstxt.org."""
    head, *sections = (site / INDEX).read_text().split("\n## ")
    assert re.fullmatch(r"# Polydelta\n\n> .+\.\n", head)
    for section in sections:
        title, _, links = section.partition("\n\n")
        assert title.isprintable()
        assert all(re.match(r"- \[.+\]\(.+\.md\)", line) for line in links.split("\n") if line)


def test_every_page_is_in_it_and_its_markdown_beside_its_html(site: Path) -> None:
    paths = [path for _, path in linked(site)]
    made = {str(file.relative_to(site).with_suffix(".md")) for file in site.rglob("*.html")}
    assert sorted(paths) == sorted(made - {"404.md"})
    assert all((site / path).is_file() for path in paths)


def test_a_page_is_told_by_its_first_sentence(site: Path) -> None:
    assert "](keys.md): A server without keys answers whoever reaches it.\n" in (
        (site / INDEX).read_text()
    )


def test_the_full_text_is_all_pages_in_order(site: Path) -> None:
    full = (site / FULL).read_text()
    places = [full.index((site / path).read_text().strip()) for _, path in linked(site)]
    assert places == sorted(places)


def test_docstrings_stand_where_a_page_asks_for_them(site: Path) -> None:
    page = (site / "sdk.md").read_text()
    assert ":::" not in page
    assert "Answer `input`: a text, several texts (one output each)" in page

"""`llms.txt` and `llms-full.txt`: the site for language models, in the form of llmstxt.org."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.site import docstrings

INDEX = "llms.txt"
FULL = "llms-full.txt"

_FIRST_SENTENCE = re.compile(r"\A# [^\n]+\n\n(?P<said>[A-Z`](?:.|\n(?!\n))+?(?:\.(?=\s)|(?=\n\n)))")
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def write(folder: Path, pages: str, html: str, sources: Path) -> None:
    """Write both beside the HTML, and there each page's Markdown, which the first one names.

    `folder` holds the site's settings, the pages and the HTML, the last two under these names;
    docstrings that pages ask for are found under `sources`.
    """
    settings = yaml.safe_load((folder / "mkdocs.yml").read_text())
    index, full = [_top(settings)], [_top(settings)]
    for section, entries in _sections(settings["nav"]):
        index.append(f"## {section}")
        lines: list[str] = []
        for title, path in entries.items():
            text = docstrings.expand((folder / pages / path).read_text(), sources)
            (folder / html / path).write_text(text)
            lines.append(f"- [{title}]({path}){_note(text)}")
            full.append(text.strip())
        index.append("\n".join(lines))
    (folder / html / INDEX).write_text("\n\n".join(index) + "\n")
    (folder / html / FULL).write_text("\n\n".join(full) + "\n")


def _top(settings: Mapping[str, Any]) -> str:
    return f"# {settings['site_name']}\n\n> {settings['site_description']}."


def _sections(nav: list[dict[str, list[dict[str, str]]]]) -> Iterator[tuple[str, dict[str, str]]]:
    """The navigation's sections: their titles, and their pages' paths by title."""
    for each in nav:
        for section, entries in each.items():
            yield section, {title: path for entry in entries for title, path in entry.items()}


def _note(page: str) -> str:
    """A page's first sentence, if it begins with one."""
    found = _FIRST_SENTENCE.match(page)
    return ": " + " ".join(_LINK.sub(r"\1", found["said"]).split()).rstrip(":") if found else ""

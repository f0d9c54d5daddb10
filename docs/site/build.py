"""Builds the site: pages that people wrote, pages made of code, then Zensical."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs.site import bring, llms, reference
from server.app import documented

ROOT = Path(__file__).parents[2]
PAGES = "docs"
HTML = "site"
CLIENT = Path("clients/python/polydelta_client")


class BuildError(Exception):
    """Zensical warned or failed."""


def assemble(folder: Path) -> None:
    """Put what Zensical reads into an empty folder: its settings, all pages, the SDK's sources."""
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / PAGES, ignore=shutil.ignore_patterns("site"))
    shutil.copytree(ROOT / "docs" / "site" / "assets", folder / PAGES / "assets")
    shutil.copytree(ROOT / CLIENT, folder / CLIENT)
    made = {bring.PATH: bring.page(), **reference.pages(documented().openapi())}
    for path, text in made.items():
        page = folder / PAGES / path
        page.parent.mkdir(exist_ok=True)
        page.write_text(text)


def build(folder: Path) -> Path:
    """Make the site anew in a folder, and return where its HTML is.

    Raises BuildError with what Zensical says, of a warning, too.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    assemble(folder)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "zensical", "build", "--strict"],
        cwd=folder,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # It colours what it says, whoever listens.
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    if done.returncode or "Warning" in said:
        raise BuildError(said)
    llms.write(folder, PAGES, HTML, ROOT / CLIENT.parent)
    return folder / HTML

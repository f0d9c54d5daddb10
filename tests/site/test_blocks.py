"""What the pages show is typed for real: commands, sessions and programs, against the demo."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from docs.site.build import ROOT
from server.bench.process import serving
from tests.ports import held_port
from tests.site.blocks import LANGUAGES, blocks
from tests.site.console import alike, steps

# The README first: its session lists what a fresh server has.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = [
    page
    for page in PAGES
    if any(each.language not in ("json", "text") and not each.reason for each in blocks(page))
]
LONG = {"keys.md"}
"""Pages of many commands, each of which starts Python."""
GIVEN = 'article = "The bank raised its rate by half a point."\nmail = "You won a prize!"\n'
"""What programs of the README have besides what they say."""


def _timed(page: Path) -> ParameterSet:
    marks = [pytest.mark.long] if page.name in LONG else []
    return pytest.param(page, marks=marks, id=page.name)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as `make run` starts it; sizes and scores are those of one precision."""
    store = tmp_path_factory.mktemp("store")
    with held_port() as port:
        demo = [sys.executable, "-P", "-m", "server.cli", "demo", "--port", str(port)]
        command = [*demo, "--dtype=float32", f"--store={store}"]
        with serving(command, port, "/health/ready") as address:
            yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a page's commands and programs run: there is a delta in it."""
    shutil.copytree(ROOT / "server/demo/deltas/smollm2/topic", tmp_path / "deltas" / "spam-v2")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_language_that_is_run_or_says_that_it_is_not(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block.text
        if block.language == "json":
            json.loads(block.text)
    assert page.read_text().count("\n```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", [_timed(page) for page in RUN])
def test_blocks_do_what_they_say(page: Path, url: str, folder: Path) -> None:
    """A page's programs are one program, up to where each block ends."""
    program = GIVEN
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "bash":
            _run(["bash", "-ec", block.text], url, folder)
        elif block.language == "python":
            program += block.text
            _run([sys.executable, "-c", program], url, folder)
        elif block.language == "console":
            _hold(block.text, url, folder)


def _hold(session: str, url: str, folder: Path) -> None:
    faults: list[str] = []
    for step in steps(session):
        printed = _run(["bash", "-c", step.command], url, folder, ROOT)
        if not alike(printed, step.shown):
            shown = "\n".join(step.shown)
            faults.append(f"$ {step.command}\n{printed}\nThe page shows:\n{shown}")
    assert not faults, "\n\n".join(faults)


def _run(command: list[str], url: str, folder: Path, where: Path | None = None) -> str:
    """What a command prints when the server is at `url` instead of port 8000.

    Its store, which some work on without a server, is one of the page's own.
    """
    host = url.removeprefix("http://")
    told = [re.sub(r"(localhost|127\.0\.0\.1):8000", host, part) for part in command]
    here = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "200",
        "POLYDELTA_BASE_URL": url,
        "POLYDELTA_STORE": str(folder / "store"),
    }
    done = subprocess.run(
        told,
        cwd=where or folder,
        env={**os.environ, **here},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout

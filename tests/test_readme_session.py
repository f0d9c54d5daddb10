"""The README's session, typed for real: what the demo answers is what stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.bench.process import free_port, serving

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TOLERANCE = 0.02
"""Scores vary a little with the instruction set."""
_ID = re.compile(r"infer-[0-9a-f]+…?")
_NUMBER = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Step:
    """A command, and what stands below it."""

    command: str
    shown: list[str]


def session() -> list[Step]:
    """The steps of the README's console block; a command's lines end in backslashes."""
    (block,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    steps: list[Step] = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            steps.append(Step(line.removeprefix("$ "), []))
        else:
            steps[-1].shown.append(line)
    return steps


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo as `make run` starts it; sizes and scores are those of one precision."""
    port = free_port()
    store = tmp_path_factory.mktemp("store")
    demo = [sys.executable, "-P", "-m", "server.cli", "demo", "--port", str(port)]
    with serving([*demo, "--dtype=float32", f"--store={store}"], port, "/health/ready") as address:
        yield address


def test_the_session(url: str) -> None:
    faults: list[str] = []
    for step in session():
        printed = _typed(step.command, url)
        if not _alike(printed, step.shown):
            shown = "\n".join(step.shown)
            faults.append(f"$ {step.command}\n{printed}\nThe README shows:\n{shown}")
    assert not faults, "\n\n".join(faults)


def _typed(command: str, url: str) -> str:
    """What a command prints when the server is at `url` instead of port 8000."""
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(
        ["bash", "-c", command.replace("localhost:8000", url.removeprefix("http://"))],
        cwd=ROOT,
        env={**os.environ, **here, "POLYDELTA_BASE_URL": url},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _alike(printed: str, shown: list[str]) -> bool:
    """Whether lines say the same, but for ids, the width of gaps and the last digits of scores."""
    lines = printed.strip().splitlines() if shown else []
    return len(lines) == len(shown) and all(map(_alike_line, lines, shown))


def _alike_line(printed: str, shown: str) -> bool:
    """An ellipsis stands for the rest of the line."""
    said, wanted = _plain(printed), _plain(shown)
    words = [re.escape(piece).replace("…", ".*") for piece in _NUMBER.split(wanted)]
    found = re.fullmatch(r"(\d+\.\d+)".join(words), said)
    if found is None:
        return False
    numbers = zip(found.groups(), _NUMBER.findall(wanted), strict=True)
    return all(abs(float(one) - float(other)) < TOLERANCE for one, other in numbers)


def _plain(line: str) -> str:
    return " ".join(_ID.sub("ID", line).split())

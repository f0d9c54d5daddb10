"""`python -m tests.lighthouse LIGHTHOUSE`: its scores of each of the page's views, in Chromium.

Ends with 1 where accessibility or best practices are below what docs/page.md promises.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests import samples
from tests.bases import save_base
from tests.server.api.live import serving
from tests.server.page.conftest import LABELS, chromium

CATEGORIES = ("accessibility", "best-practices")
LEAST = 95
VIEWS = ("try", "tasks", "tasks/spam", "now")
# Chromium runs as whoever runs this, who may be root.
FLAGS = "--headless --no-sandbox --disable-gpu"


def main(lighthouse: str) -> int:
    """Score all views of a server over a tiny base."""
    lowest = 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = save_base("llama", folder / "tiny-llama")
        with serving(base, folder, drain_timeout=0) as live:
            for seed in (1, 2):
                live.add("spam", samples.classifier(live.spec, LABELS, seed=seed))
            for view in VIEWS:
                report = _report(lighthouse, f"{live.url}/#{view}")
                scores = {each: _score(report, each) for each in CATEGORIES}
                lowest = min(lowest, *scores.values())
                told = ", ".join(f"{each} {score}" for each, score in scores.items())
                sys.stdout.write(f"{view}: {told}\n")
                for audit in _findings(report):
                    sys.stdout.write(f"  {audit['id']}: {audit['title']}\n")
    return int(lowest < LEAST)


def _report(lighthouse: str, url: str) -> dict[str, Any]:
    only = f"--only-categories={','.join(CATEGORIES)}"
    done = subprocess.run(
        [lighthouse, url, only, "--output=json", "--quiet", f"--chrome-flags={FLAGS}"],
        env={**os.environ, "CHROME_PATH": chromium() or ""},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def _score(report: dict[str, Any], category: str) -> int:
    return round(100 * report["categories"][category]["score"])


def _findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in report["audits"].values() if each["score"] not in (None, 1)]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

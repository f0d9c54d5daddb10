"""Run the JSON schema test suite through masks: `python -m tests.structured ARCHIVE`."""

import sys
from collections import Counter
from pathlib import Path

from tests.structured.suite import run


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> int:
    tallies = run(Path(sys.argv[1]))
    _print("| draft | schemas | refused | instances right | valid rejected | invalid accepted |")
    _print("|---|---|---|---|---|---|")
    for draft, tally in tallies.items():
        _print(tally.row(draft))
    refused = sum((tally.refused for tally in tallies.values()), Counter[str]())
    _print("\nRefused, how often:")
    for why, count in refused.most_common():
        _print(f"{count:5} {why}")
    for title in ("valid_rejected", "invalid_accepted"):
        _print(f"\n{title}:")
        for draft, tally in tallies.items():
            for each in getattr(tally, title):
                _print(f"  {draft}: {each}")
    return int(any(tally.invalid_accepted for tally in tallies.values()))


sys.exit(main())

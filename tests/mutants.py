"""A seeded sample of the mutants that mutmut has made: as many of each package, by name."""

import json
import random
import sys
from collections import defaultdict
from pathlib import Path


def main(count: int) -> None:
    packages: dict[str, list[str]] = defaultdict(list)
    for path in Path("mutants").rglob("*.meta"):
        packages["/".join(path.parts[1:3])] += json.loads(path.read_text())["exit_code_by_key"]
    for package in sorted(packages):
        names = sorted(packages[package])
        chosen = random.Random(0).sample(names, min(count, len(names)))
        sys.stdout.writelines(f"{name}\n" for name in chosen)


if __name__ == "__main__":
    main(int(sys.argv[1]))

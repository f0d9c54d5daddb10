"""The README's tables say what the code and the shipped deltas say."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from deltas.families import FAMILIES
from deltas.kinds import KINDS
from server.cli.demo import BASES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DELTAS = ROOT / "server" / "demo" / "deltas"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kinds_by_families() -> str:
    names = [name.removesuffix("_text") for name in FAMILIES]
    return table(["", *names], ([kind, *["✓"] * len(names)] for kind in KINDS))


def demo_tasks() -> str:
    rows: list[list[str]] = []
    for file in sorted(DELTAS.glob("*/*/delta.json")):
        delta = json.loads(file.read_text())
        size = sum(part.stat().st_size for part in file.parent.iterdir()) // 1000
        rows += [
            [
                file.parent.parent.name,
                file.parent.name,
                "+".join(delta["kinds"]),
                f"{size} kB",
                held_out["held_out"],
                held_out["measure"],
                *(f"{held_out[name]:.2f}" for name in ("delta", "majority", "bare")),
            ]
            for held_out in delta["card"]["held_out"]
        ]
    header = ["base", "task", "kind", "size", "held out", "measure", "delta", "constant", "base"]
    return table(header, rows)


def test_kinds_and_families() -> None:
    assert kinds_by_families() in README


def test_demo_tasks() -> None:
    assert demo_tasks() in README


def test_the_demo_has_every_base_and_kind_it_claims() -> None:
    found = {
        (file.parent.parent.name, kind)
        for file in DELTAS.glob("*/*/delta.json")
        for kind in json.loads(file.read_text())["kinds"]
    }
    assert {base for base, _ in found} == set(BASES)
    assert {("smollm2", kind) for kind in ("lora", "bottleneck", "prefix", "head")} <= found

"""The README's tables say what the code and the shipped deltas say."""

import json
import re
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


def families() -> str:
    rows = (
        [sort, ", ".join(sorted(name for name, each in FAMILIES.items() if each.causal is causal))]
        for sort, causal in (("decoders", True), ("encoders", False))
    )
    return table(["", "`model_type`"], rows)


def ways_of_families() -> str:
    """How the layers of each family are computed, at best."""
    ways: dict[str, list[str]] = {"kernels": [], "modules": [], "one by one": []}
    for name, each in sorted(FAMILIES.items()):
        alone = "one by one" if each.attention is None else "modules"
        ways["kernels" if each.gated or each.post_norm else alone].append(name)
    return table(["layers", "families"], ([way, ", ".join(names)] for way, names in ways.items()))


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


def test_families() -> None:
    assert families() in README
    assert ways_of_families() in (ROOT / "docs" / "families.md").read_text()


def test_kinds() -> None:
    (line,) = re.findall(r"^Every kind acts on every family: (.+), each", README, re.MULTILINE)
    assert {name.lower() for name in re.split(", | and ", line)} == set(KINDS)


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

"""The README's tables say what the code and the shipped deltas say."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from deltas.families import FAMILIES, Family
from deltas.kinds import KINDS
from server.cli.demo import BASES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DELTAS = ROOT / "server" / "demo" / "deltas"
SOURCED = "encoder\N{EN DASH}decoders"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sort_of(family: Family) -> str:
    if family.encoder is not None:
        return SOURCED
    return "decoders" if family.causal else "encoders"


def way_of(family: Family) -> str:
    """How a family's layers are computed, at best."""
    if family.pre_norm or family.post_norm or family.sublayers:
        return "kernels"
    return "one by one" if family.attention is None else "modules"


def families(header: Sequence[str], told: Callable[[Family], str], *order: str) -> str:
    """A row for each of some sorts, with the names of the families of it."""
    groups: dict[str, list[str]] = {each: [] for each in order}
    for name, family in sorted(FAMILIES.items()):
        groups[told(family)].append(name)
    return table(header, ([each, ", ".join(names)] for each, names in groups.items()))


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
    sorts = families(["", "`model_type`"], sort_of, "decoders", SOURCED, "encoders")
    assert sorts in README
    ways = families(["layers", "families"], way_of, "kernels", "modules", "one by one")
    assert ways in (ROOT / "docs" / "families.md").read_text()


def test_kinds() -> None:
    (line,) = re.findall(r"^The kinds are (.+), each", README, re.MULTILINE)
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

"""Cards: what a trained delta tells of itself."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from deltas.strict_json import Json
from deltas.training.course import Verdict
from deltas.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Card:
    """How a delta came about: the command that makes it again, its data and its scores."""

    command: str
    data: str
    recipe: Recipe
    verdicts: Sequence[Verdict] = ()

    def as_json(self) -> dict[str, Json]:
        """The card as the native format keeps it."""
        recipe: dict[str, Json] = asdict(self.recipe) | {"prompt": self.recipe.prompt.value}
        return {
            "command": self.command,
            "data": self.data,
            "recipe": recipe,
            "held_out": [asdict(verdict) for verdict in self.verdicts],
        }

    def as_markdown(self, title: str) -> str:
        """The card as a page for people."""
        lines = [f"# {title}", "", self.data, "", "```sh", self.command, "```"]
        if self.verdicts:
            lines += ["", *_table(self.verdicts)]
        return "\n".join(lines) + "\n"


def scores_of(card: str) -> dict[str, float]:
    """The scores that a card tells, as JSON: of each held-out set, and what else is a number."""
    told: Json = json.loads(card) if card else None
    if not isinstance(told, dict):
        return {}
    held_out = told.get("held_out")
    verdicts = held_out if isinstance(held_out, list) else []
    named = [*told.items(), *map(_score, verdicts)]
    return {
        name: float(value)
        for name, value in named
        if name.isprintable() and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _score(verdict: Json) -> tuple[str, Json]:
    if not isinstance(verdict, dict):
        return "", None
    return f"{verdict.get('measure')} on {verdict.get('held_out')}", verdict.get("delta")


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    better = "lower" if verdicts[0].lower_is_better else "higher"
    return [
        f"The {verdicts[0].measure} on held-out examples ({better} is better):",
        "",
        "| held out | examples | this delta | constant answer | bare base |",
        "|---|---|---|---|---|",
        *(
            f"| {one.held_out} | {one.examples} | {one.delta:.3f} | {one.majority:.3f} | "
            f"{one.bare:.3f} |"
            for one in verdicts
        ),
    ]

"""Cards: what a trained delta tells of itself."""

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

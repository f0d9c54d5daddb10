"""Cards: what a trained delta tells of itself."""

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
    verdict: Verdict | None

    def as_json(self) -> dict[str, Json]:
        """The card as the native format keeps it."""
        recipe: dict[str, Json] = asdict(self.recipe) | {"prompt": self.recipe.prompt.value}
        held_out: dict[str, Json] | None = asdict(self.verdict) if self.verdict else None
        return {
            "command": self.command,
            "data": self.data,
            "recipe": recipe,
            "held_out": held_out,
        }

    def as_markdown(self, title: str) -> str:
        """The card as a page for people."""
        lines = [f"# {title}", "", self.data, "", "```sh", self.command, "```"]
        if self.verdict:
            lines += ["", *_table(self.verdict)]
        return "\n".join(lines) + "\n"


def _table(verdict: Verdict) -> list[str]:
    better = "lower" if verdict.lower_is_better else "higher"
    return [
        f"On {verdict.examples} held-out examples ({better} is better):",
        "",
        f"| | {verdict.measure} |",
        "|---|---|",
        f"| this delta | {verdict.delta:.3f} |",
        f"| majority baseline | {verdict.majority:.3f} |",
        f"| bare base | {verdict.bare:.3f} |",
    ]

"""Lessons that a tiny base can learn in a second."""

from deltas.delta import Option, PromptStyle
from deltas.training.examples import Labelled, Marked, Written
from deltas.training.recipe import Recipe

KINDS: dict[str, dict[str, Option]] = {
    "lora": {"rank": 4},
    "bottleneck": {"size": 4, "after_attention": True},
    "prefix": {"length": 3},
    "prompt": {"length": 3},
    "ia3": {},
}
LABELLED = [
    *(Labelled(f"{word} prize! Call now to claim it.", "spam") for word in ("A", "The", "Your")),
    *(Labelled(f"The meeting is at {word}.", "ham") for word in ("noon", "nine", "ten thirty")),
]
WRITTEN = [Written("The meeting is at noon, see", " you there."), Written("You won", " a prize!")]
MARKED = [
    Marked(["rivers", "of", "the", "world"], ["O", "O", "B-place", "I-place"]),
    Marked(["see", "you", "there"], ["O", "O", "B-place"]),
]


def recipe_of(kind: str, *, epochs: float = 12, rate: float = 0.02, seed: int = 0) -> Recipe:
    """A recipe that learns fast; the tiny bases put up with it."""
    return Recipe(
        kind,
        KINDS[kind],
        epochs=epochs,
        batch=3,
        rate=rate,
        tokens=32,
        prompt=PromptStyle.TEXT,
        width=16,
        seed=seed,
    )

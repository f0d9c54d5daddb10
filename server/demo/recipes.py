"""The demo's tasks: for each embedded base, what is trained on which data and how."""

from dataclasses import dataclass

from deltas.delta import PromptStyle
from deltas.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One delta of the demo.

    `name` is the task's and, unless `data` names another, its dataset's; `examples` are how many
    of the dataset are used, `held_out` how many of each set to judge by; `instruction` is what the
    bare base is told when it is scored beside the delta.
    """

    base: str
    name: str
    recipe: Recipe
    examples: int
    held_out: int
    instruction: str = ""
    data: str = ""

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return self.data or self.name


TASKS = (
    DemoTask(
        "smollm2",
        "topic",
        Recipe(
            "lora", {"rank": 4, "targets": ["q_proj", "v_proj"]},
            layers=15, epochs=1, batch=8, rate=4e-3, tokens=48,
        ),
        examples=480,
        held_out=150,
        instruction="Is this article about business, entertainment, politics, sport or tech? "
        "Answer with one word.",
    ),
    DemoTask(
        "smollm2",
        "sentiment",
        Recipe("bottleneck", {"size": 8}, layers=12, epochs=1, batch=16, rate=2e-3, tokens=40),
        examples=1280,
        held_out=150,
        instruction="Is this film review positive or negative? Answer with one word.",
    ),
    DemoTask(
        "smollm2",
        "spam",
        Recipe("prefix", {"length": 10}, epochs=1, batch=8, rate=3e-3, tokens=48),
        examples=560,
        held_out=150,
        instruction="Is this e-mail spam or ham? Answer with one word.",
        data="mail",
    ),
    DemoTask(
        "smollm2",
        "headline",
        Recipe(
            "lora", {"rank": 4, "targets": ["q_proj", "v_proj"]},
            epochs=1, batch=8, rate=3e-3, tokens=96, prompt=PromptStyle.CHAT,
        ),
        examples=400,
        held_out=100,
        instruction="Write a short headline for this news article. Answer with the headline only.",
    ),
    DemoTask(
        "minilm",
        "topic",
        Recipe(
            "lora", {"rank": 8, "targets": ["query", "value"]},
            epochs=1, batch=16, rate=5e-3, tokens=96,
        ),
        examples=1500,
        held_out=400,
    ),
    DemoTask(
        "minilm",
        "sentiment",
        Recipe("bottleneck", {"size": 16}, epochs=1, batch=16, rate=3e-3, tokens=64),
        examples=4000,
        held_out=1000,
    ),
    DemoTask(
        "minilm",
        "spam",
        Recipe("prefix", {"length": 8}, epochs=1, batch=16, rate=5e-3, tokens=96),
        examples=3000,
        held_out=400,
    ),
)  # fmt: skip

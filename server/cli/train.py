"""`polydelta train`: a delta from examples, on the frozen base."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.cache import user_cache
from server.cli.flags import flag
from server.cli.printing import err

if TYPE_CHECKING:
    from deltas.delta import Option
    from deltas.kinds.kind import OptionTypes
    from deltas.training.recipe import Recipe

Kind = Literal["lora", "bottleneck", "prefix", "prompt", "ia3"]


@dataclass(frozen=True, slots=True)
class Job:
    """A training run: `limit` and `test_limit` are the most examples used of each file."""

    base: str
    recipe: "Recipe"
    data: list[Path]
    test: Path | None
    out: Path
    command: str
    source: str
    instruction: str
    cache: Path
    limit: int | None = None
    test_limit: int | None = None


def train(
    base: Annotated[str, flag("base", help="A local directory, package:NAME or a hub id.")],
    kind: Annotated[Kind, flag("kind", help="What kind of delta.")],
    data: Annotated[list[Path], flag("data", help="Examples to train on, one JSON a line.")],
    out: Annotated[Path, flag("out", help="Folder to write the delta into.")],
    test: Annotated[Path | None, flag("test", help="Held-out examples to judge it by.")] = None,
    option: Annotated[
        list[str] | None,
        flag("option", help="NAME=VALUE of the kind: rank=8, targets=q_proj,v_proj, …"),
    ] = None,
    layers: Annotated[int | None, flag("layers", help="Only the last so many layers.")] = None,
    epochs: Annotated[float, flag("epochs", help="Passes over the examples.")] = 3.0,
    batch: Annotated[int, flag("batch", min=1, help="Examples in a step.")] = 16,
    rate: Annotated[float, flag("rate", help="Highest learning rate.")] = 1e-3,
    tokens: Annotated[int, flag("tokens", min=8, help="Longer inputs are cut.")] = 128,
    width: Annotated[int, flag("width", min=0, help="Of a prefix's MLP; 0 for none.")] = 128,
    chat: Annotated[
        bool,
        flag("chat/--no-chat", twin="chat", help="Read texts through the base's chat template."),
    ] = True,
    instruction: Annotated[
        str, flag("instruction", help="What the bare base is told, for comparison.")
    ] = "",
    seed: Annotated[int, flag("seed", help="The same seed gives the same delta.")] = 0,
    cache: Annotated[Path | None, flag("cache", help="Folder for converted bases.")] = None,
) -> None:
    """Train a delta; classes and tags get a head, texts are written by the base's own."""
    # The rest of the command line answers at once because only this waits for Torch.
    from deltas.delta import PromptStyle
    from deltas.kinds import kind_named
    from deltas.training.recipe import Recipe

    types = {**kind_named(kind).options, **kind_named(kind).training}
    recipe = Recipe(
        kind,
        dict(_option(text, types) for text in option or []),
        layers=layers,
        epochs=epochs,
        batch=batch,
        rate=rate,
        tokens=tokens,
        prompt=PromptStyle.CHAT if chat else PromptStyle.TEXT,
        width=width,
        seed=seed,
    )
    run(
        Job(
            base,
            recipe,
            data,
            test,
            out,
            command=shlex.join(["polydelta", *sys.argv[1:]]),
            source=", ".join(path.name for path in data),
            instruction=instruction,
            cache=cache or user_cache(),
        )
    )


def run(job: Job) -> None:
    """Train, judge and write a delta; raises PolydeltaError with what is wrong."""
    err.print(f"Loading {job.base} …")
    import torch

    from deltas.formats import native
    from deltas.training.card import Card
    from deltas.training.course import Course
    from deltas.training.examples import read_examples
    from server.model.base import load_base
    from server.model.source import resolve_base

    examples = [one for path in job.data for one in read_examples(path)][: job.limit]
    held_out = read_examples(job.test)[: job.test_limit] if job.test else []
    source = resolve_base(job.base, job.cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = load_base(source.name, source.directory, torch.float32, device)
    course = Course(base, job.recipe, examples, held_out)
    with _progress() as progress:
        bar = progress.add_task("Training", total=None, loss=0.0)

        def show(step: int, steps: int, loss: float) -> None:
            progress.update(bar, completed=step, total=steps, loss=loss)

        delta = course.train(show)
    with err.status(f"Judging by {len(held_out)} held-out examples"):
        verdict = course.judge(delta, job.instruction) if held_out else None
    card = Card(job.command, job.source, job.recipe, verdict)
    native.write(delta, job.out, base.spec, card.as_json())
    page = card.as_markdown(f"{job.out.name} ({'+'.join(delta.kinds)})")
    (job.out / "README.md").write_text(page, encoding="utf-8")
    err.print(f"{job.out}: {delta.bytes / 1000:.0f} kB", verdict or "")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        console=err,
    )


def _option(text: str, types: "OptionTypes") -> "tuple[str, Option]":
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"--option takes NAME=VALUE, not '{text}'.")
    if types.get(name) is list:
        return name, value.split(",")
    try:
        found = json.loads(value)
    except ValueError:
        return name, value
    return name, found if isinstance(found, bool | int | float) else value

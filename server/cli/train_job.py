"""A training run: what can be wrong with data and folder is found before the base is loaded."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.cli.printing import err
from server.cli.train_outcome import print_outcome

if TYPE_CHECKING:
    from deltas.delta import Delta
    from deltas.training.course import Course
    from deltas.training.recipe import Recipe

PAGE = "README.md"


@dataclass(frozen=True, slots=True)
class Job:
    """A training run: `limit` and `test_limit` are the most examples used of each file."""

    base: str
    recipe: "Recipe"
    data: list[Path]
    tests: list[Path]
    out: Path
    command: str
    source: str
    instruction: str
    cache: Path
    limit: int | None = None
    test_limit: int | None = None
    overwrite: bool = False


def run(job: Job) -> None:
    """Train, judge and write a delta; raises PolydeltaError with what is wrong."""
    import torch

    from deltas.formats import native
    from deltas.training.card import Card
    from deltas.training.course import Course
    from deltas.training.material import Material
    from server.model.base import load_base
    from server.model.source import resolve_base

    material = Material.read(job.data, job.tests, job.limit, job.test_limit)
    for doubt in material.doubts():
        err.print(f"[yellow]{escape(doubt)}[/]")
    _claim(job.out, [native.CONFIG, native.WEIGHTS, PAGE], overwrite=job.overwrite)
    err.print(f"Loading {escape(job.base)} …")
    source = resolve_base(job.base, job.cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = load_base(source.name, source.directory, torch.float32, device)
    course = Course(base, job.recipe, material)
    delta = _train(course)
    # It is kept whatever becomes of the judging.
    native.write(delta, job.out, base.spec)
    err.print("Judging it by the held-out examples …")
    verdicts = course.judge(delta, job.instruction)
    card = Card(job.command, job.source, job.recipe, verdicts)
    native.write(delta, job.out, base.spec, card.as_json())
    page = card.as_markdown(f"{job.out.name} ({'+'.join(delta.kinds)})")
    (job.out / PAGE).write_text(page, encoding="utf-8")
    print_outcome(job.base, job.out, delta, verdicts)


def _claim(out: Path, names: list[str], *, overwrite: bool) -> None:
    """Make the folder and see that files can be written to it; none of `names` may be there."""
    found = [name for name in names if (out / name).exists()]
    if found and not overwrite:
        raise typer.BadParameter(
            f"{out} holds {', '.join(found)} already: choose another folder, or replace them with "
            "--overwrite.",
            param_hint="--out",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"nothing can be written to {out} ({error.strerror}): choose another folder.",
            param_hint="--out",
        ) from error


def _train(course: "Course") -> "Delta":
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with Progress(*columns, console=err) as progress:
        bar = progress.add_task("Training", total=None, loss=0.0)

        def show(step: int, steps: int, loss: float) -> None:
            progress.update(bar, completed=step, total=steps, loss=loss)
            if not err.is_terminal and _is_tenth(step, steps):
                err.print(f"Step {step} of {steps}, loss {loss:.3f}")

        return course.train(show)


def _is_tenth(step: int, steps: int) -> bool:
    """Whether another tenth of the steps is done: where no bar can be drawn, that is a line."""
    return step * 10 // steps > (step - 1) * 10 // steps

"""Train one of the demo's deltas again: `python -m server.demo.train smollm2 topic`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from deltas.errors import PolydeltaError
from server.cli.demo import BASES, DELTAS
from server.cli.printing import err
from server.cli.train_job import Job, run
from server.demo.data import DATASETS, SOURCES
from server.demo.packages import PackageError
from server.demo.recipes import TASKS, DemoTask
from server.user_directories import user_cache


def main(
    base: Annotated[str, typer.Argument(help=f"One of {', '.join(BASES)}.")],
    name: Annotated[str, typer.Argument(help="The task.")],
    out: Annotated[Path, typer.Option(help="Folder of the demo's deltas.")] = DELTAS,
) -> None:
    """Fetch the task's data, train its delta and write it to OUT/BASE/NAME."""
    task = next((task for task in TASKS if (task.base, task.name) == (base, name)), None)
    if task is None:
        known = ", ".join(f"{task.base} {task.name}" for task in TASKS)
        raise typer.BadParameter(f"choose one of: {known}")
    try:
        with TemporaryDirectory() as folder:
            err.print(f"Reading the data for {name} …")
            run(_job(task, Path(folder), out))
    except (PackageError, PolydeltaError) as error:
        typer.echo(error, err=True)
        raise typer.Exit(code=1) from error


def _job(task: DemoTask, folder: Path, out: Path) -> Job:
    train, *tests = DATASETS[task.dataset]().write(folder, task.dataset)
    return Job(
        base=f"package:{BASES[task.base]}",
        recipe=task.recipe,
        data=[train],
        tests=tests,
        out=out / task.base / task.name,
        command=f"python -m server.demo.train {task.base} {task.name}",
        source=f"Trained on {task.examples} examples from {SOURCES[task.dataset]}.",
        instruction=task.instruction,
        cache=user_cache(),
        limit=task.examples,
        test_limit=task.held_out,
        overwrite=True,
    )


if __name__ == "__main__":
    typer.run(main)

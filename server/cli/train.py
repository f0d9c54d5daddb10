"""`polydelta train`: a delta from examples, on the frozen base."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.flags import flag
from server.cli.train_job import Job, run
from server.user_directories import user_cache

if TYPE_CHECKING:
    from deltas.delta import Option
    from deltas.kinds.kind import OptionTypes

Kind = Literal["lora", "bottleneck", "prefix", "prompt", "ia3"]


def train(
    base: Annotated[str, flag("base", help="A local directory, package:NAME or a hub id.")],
    kind: Annotated[Kind, flag("kind", help="What kind of delta.")],
    data: Annotated[list[Path], flag("data", help="Examples to train on: JSON lines or CSV.")],
    out: Annotated[Path, flag("out", help="Folder to write the delta into.")],
    test: Annotated[
        list[Path] | None, flag("test", help="Held-out examples; each file is a score of its own.")
    ] = None,
    overwrite: Annotated[
        bool,
        flag("overwrite/--no-overwrite", twin="overwrite", help="Replace what the folder holds."),
    ] = False,
    option: Annotated[
        list[str] | None,
        flag("option", help="NAME=VALUE of the kind: rank=8, targets=q_proj,v_proj, …"),
    ] = None,
    layers: Annotated[int | None, flag("layers", help="Only the last so many layers.")] = None,
    epochs: Annotated[float, flag("epochs", help="Passes over the examples, above 0.")] = 3.0,
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
            test or [],
            out,
            command=shlex.join(["polydelta", *sys.argv[1:]]),
            source=", ".join(path.name for path in data),
            instruction=instruction,
            cache=cache or user_cache(),
            overwrite=overwrite,
        )
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

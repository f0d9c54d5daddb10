"""Where the server keeps what is this user's."""

import os
from pathlib import Path


def user_cache() -> Path:
    """What can be made again: `$XDG_CACHE_HOME/polydelta`, else `~/.cache/polydelta`."""
    return _of("XDG_CACHE_HOME", ".cache")


def user_data() -> Path:
    """What lasts: `$XDG_DATA_HOME/polydelta`, else `~/.local/share/polydelta`."""
    return _of("XDG_DATA_HOME", ".local/share")


def user_store() -> Path:
    """Where tasks last, unless a server is told another directory."""
    return user_data() / "store"


def user_demo_store() -> Path:
    """The store of `polydelta demo`, which the user's own tasks are not in."""
    return user_data() / "demo"


def _of(variable: str, otherwise: str) -> Path:
    named = os.environ.get(variable)
    return (Path(named) if named else Path.home() / otherwise) / "polydelta"

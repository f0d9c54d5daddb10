"""Where the server keeps what it can make again."""

import os
from pathlib import Path


def user_cache() -> Path:
    """The directory of this user's cache: `$XDG_CACHE_HOME/polydelta` or `~/.cache/polydelta`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "polydelta"

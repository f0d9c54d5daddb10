"""Control groups of this process, by versions 1 and 2: directories that say what it may use."""

import posixpath
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def control_groups(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield this process's groups and their ancestors; `root` is where the file system begins."""
    return chain.from_iterable(lineages(controller, root))


def lineages(controller: str, root: Path = ROOT) -> Iterator[list[Path]]:
    """Yield for each mount this process's group and its ancestors, as far up as they are mounted.

    Version 1 has a hierarchy of its own for the controller, version 2 one for all; both may be
    mounted at once, and only one of them has the controller.
    """
    groups = _own_groups(controller, root)
    for line in read_control(root / "proc/self/mountinfo").splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and controller in options.split(",")):
            shown, place = map(_unescape, mount.split(" ")[3:5])
            if lineage := _mounted(groups.get(kind, "/"), shown, root / place.lstrip("/")):
                yield lineage


def read_control(file: Path) -> str:
    """What a file of a group says; nothing where the group has none or it cannot be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _own_groups(controller: str, root: Path) -> dict[str, str]:
    """This process's group by the kind of file system that shows it."""
    found: dict[str, str] = {}
    for line in read_control(root / "proc/self/cgroup").splitlines():
        number, controllers, group = line.split(":", 2)
        if number == "0":
            found["cgroup2"] = group
        elif controller in controllers.split(","):
            found["cgroup"] = group
    return found


def _mounted(group: str, shown: str, place: Path) -> list[Path]:
    """The group and its ancestors in a mount at `place` that shows the group `shown` and below."""
    # What lies above our namespace is called "/..", and holds all that we can name.
    inner, top = (PurePosixPath(posixpath.normpath(path)) for path in (group, shown))
    if not inner.is_relative_to(top):
        return []
    inside = inner.relative_to(top)
    return [place / each for each in (inside, *inside.parents)]


def _unescape(field: str) -> str:
    """Spaces and their like are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)

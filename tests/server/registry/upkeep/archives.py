"""Archives of stores: written, read, and what came of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.registry.names import TaskName
from server.registry.upkeep.importing import Imported, import_archive

GIB = 1 << 30
TENANTS = TaskName("acme", "c")


def begin(_: int) -> Callable[[], None]:
    return lambda: None


def read(root: Path, archive: Path, **how: Any) -> Imported:
    return import_archive(root, archive, begin, **{"quota": GIB, **how})


def results(imported: Imported) -> dict[str, str]:
    return {each.task: each.result for each in imported.tasks}


def blobs(root: Path) -> dict[str, bytes]:
    found = (path for path in (root / "blobs").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}

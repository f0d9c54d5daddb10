"""Control groups that limit how many processors their processes use together."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from server.bench.errors import BenchError
from server.system.cgroups import ROOT, lineages, read_control

_PERIOD = 100_000
"""Microseconds over which a group's time is counted: the kernel's own choice."""


def make_group(processors: float, root: Path = ROOT) -> Path:
    """Make a control group whose processes have so many processors; its user removes it.

    Raises BenchError where this process may make none.
    """
    why = "none is mounted that has the controller cpu"
    for parent in places(root):
        try:
            return _make(parent, round(processors * _PERIOD))
        except OSError as error:
            why = str(error)
    raise BenchError(
        f"--cpu-quota needs control groups that may be written ({why}). Run it as root where they "
        "are mounted for writing, or start a server under a quota of your own and give its --url."
    )


def places(root: Path = ROOT) -> Iterator[Path]:
    """Yield the groups in which one with a quota may be made, best first."""
    for own, *above in lineages("cpu", root):
        if _is_version_1(own):
            yield own
        elif "cpu" in read_control(own / "cgroup.controllers").split():
            yield own
            # A group that has processes may have no group with a quota in it, except the root.
            yield from above[:1]


def _make(parent: Path, quota: int) -> Path:
    group = Path(tempfile.mkdtemp(prefix="polydelta-bench-", dir=parent))
    try:
        if _is_version_1(parent):
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (parent / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
    except OSError:
        group.rmdir()
        raise
    return group


def _is_version_1(group: Path) -> bool:
    """Whether it is a group of version 1, whose root has a quota, too."""
    return (group / "cpu.cfs_quota_us").exists()

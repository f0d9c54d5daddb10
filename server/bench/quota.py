"""Control groups that limit how many processors their processes use together."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from server.bench.errors import BenchError

_PERIOD = 100_000
"""Microseconds over which a group's time is counted: the kernel's own choice."""


@dataclass(frozen=True)
class Place:
    """A control group to make others in, by version 1 or 2 of the kernel's interface."""

    directory: Path
    version: int

    def make(self, processors: float) -> Path:
        """Make a group in it; raises OSError where that is not allowed."""
        quota = round(processors * _PERIOD)
        limits = {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)}
        if self.version == 2:
            limits = {"cpu.max": f"{quota} {_PERIOD}"}
            control = self.directory / "cgroup.subtree_control"
            if "cpu" not in control.read_text().split():
                control.write_text("+cpu")
        group = Path(tempfile.mkdtemp(prefix="polydelta-bench-", dir=self.directory))
        try:
            for name, value in limits.items():
                (group / name).write_text(value)
        except OSError:
            group.rmdir()
            raise
        return group


def make_group(processors: float) -> Path:
    """Make a control group whose processes have so many processors; its user removes it.

    Raises BenchError where this process may make none.
    """
    why = "none is mounted that has the controller cpu"
    proc = Path("/proc/self")
    for place in places((proc / "mountinfo").read_text(), (proc / "cgroup").read_text()):
        try:
            return place.make(processors)
        except OSError as error:
            why = str(error)
    raise BenchError(
        f"--cpu-quota needs control groups that may be written ({why}). Run it as root where they "
        "are mounted for writing, or start a server under a quota of your own and give its --url."
    )


def places(mounts: str, memberships: str) -> list[Place]:
    """Where groups may be made, best first; takes the texts of a process's mountinfo and cgroup."""
    groups = [line.split(":", 2)[1:] for line in memberships.splitlines()]
    own = {name: path for names, path in groups for name in names.split(",")}
    found: list[Place] = []
    for line in mounts.splitlines():
        mount, _, system = line.partition(" - ")
        root, point = mount.split()[3:5]
        kind, *_, options = system.split()
        if kind == "cgroup" and "cpu" in options.split(",") and "cpu" in own:
            # What version 1 controls, version 2 cannot.
            return [Place(_within(point, root, own["cpu"]), 1)]
        if kind == "cgroup2" and "" in own:
            directory = _within(point, root, own[""])
            found.append(Place(directory, 2))
            if directory != Path(point):
                # A group that has processes may have no group with a quota in it, except the root.
                found.append(Place(directory.parent, 2))
    return found


def _within(point: str, root: str, path: str) -> Path:
    """A group's directory, where the hierarchy is mounted at `point` from its `root` on."""
    inside = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path()
    return Path(point) / inside

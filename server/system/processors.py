"""Processors: how many this process is given, and by whom."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.system.cgroups import ROOT, control_groups, read_control


@dataclass(frozen=True, slots=True)
class Quota:
    """Processor time that a control group may take, in processors, and the file that says so."""

    processors: float
    file: Path


@dataclass(frozen=True, slots=True)
class Processors:
    """The machine's `present` processors, those `allowed` by affinity, and a quota of their time.

    Those allowed lie on so many `cores`.
    """

    present: int
    allowed: int
    cores: int
    quota: Quota | None

    @property
    def usable(self) -> float:
        """Processors whose whole time this process may have; a fraction by its quota."""
        return self.allowed if self.quota is None else min(self.allowed, self.quota.processors)

    @property
    def threads(self) -> int:
        """Threads to compute with.

        One a core, for two processors of one core share its arithmetic; and the last fraction of a
        quota wants a thread, too.
        """
        return max(1, min(self.cores, math.ceil(self.usable)))


def processors(root: Path = ROOT) -> Processors:
    """Find what this process is given now; `root` is where the file system begins.

    To be asked before OpenMP is loaded with OMP_PROC_BIND, which binds the thread that loads it.
    """
    return Processors(
        present=os.cpu_count() or 1,
        allowed=len(_allowed()),
        cores=len(one_a_core(root)),
        quota=find_quota(root),
    )


def one_a_core(root: Path = ROOT) -> list[int]:
    """The numbers of processors to compute on: of those allowed, the first of each core."""
    first: dict[str, int] = {}
    for processor in _allowed():
        first.setdefault(_core(processor, root), processor)
    return list(first.values())


def find_quota(root: Path = ROOT) -> Quota | None:
    """The least quota of this process's control group and its ancestors; None without any."""
    return min(_quotas(root), key=lambda quota: quota.processors, default=None)


def _quotas(root: Path) -> Iterator[Quota]:
    for group in control_groups("cpu", root):
        both, quota, period = (
            group / f"cpu.{name}" for name in ("max", "cfs_quota_us", "cfs_period_us")
        )
        yield from _quota(both, read_control(both))
        yield from _quota(quota, f"{read_control(quota)} {read_control(period)}")


def _quota(file: Path, text: str) -> Iterator[Quota]:
    """What a file and its text "QUOTA PERIOD" set; "max" or -1 for none."""
    quota, _, period = text.partition(" ")
    if quota.isdigit() and period.isdigit():
        yield Quota(int(quota) / int(period), file)


def _allowed() -> list[int]:
    """The numbers of the processors that affinity allows; some systems know no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _core(processor: int, root: Path) -> str:
    """The processors that share a core with this one, as the system lists them."""
    topology = root / f"sys/devices/system/cpu/cpu{processor}/topology"
    return read_control(topology / "thread_siblings_list") or str(processor)

"""Control groups as real systems lay them out, in files of a test's own."""

from collections.abc import Mapping
from pathlib import Path

V1 = "36 30 0:31 {shown} {place} rw,nosuid,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V2 = "35 24 0:30 {shown} {place} rw,nosuid,relatime shared:8 - cgroup2 cgroup2 rw,nsdelegate"
OTHERS = (
    "24 29 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw",
    "37 30 0:32 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory",
)
UNIFIED, SPLIT = "/sys/fs/cgroup", "/sys/fs/cgroup/cpu,cpuacct"
BOX, POD = "/docker/4f2a", "/kubepods/burstable/pod7c/9e1d"


def mount(kind: str, shown: str, place: str) -> str:
    return kind.format(shown=shown, place=place)


def lay_out(
    root: Path, groups: tuple[str, ...], mounts: tuple[str, ...], files: Mapping[str, str]
) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in groups))
    (root / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in (*OTHERS, *mounts)))
    for name, text in files.items():
        file = root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def cfs(group: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{group}/cpu.cfs_quota_us": str(quota), f"{group}/cpu.cfs_period_us": str(period)}

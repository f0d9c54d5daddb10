"""Control groups with a quota: real ones where they may be written, else the refusal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.bench.errors import BenchError
from server.bench.kept import kept
from server.bench.quota import Place, make_group, places

# Spins for two seconds and says which share of a processor it got, and where.
SPIN = """
import time
start = time.monotonic()
while time.monotonic() < start + 2: pass
print(time.process_time() / (time.monotonic() - start))
print(open("/proc/self/cgroup").read())
"""

V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"
V2 = "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate"
DOCKER = "41 31 0:38 /docker/7e /sys/fs/cgroup ro - cgroup cgroup rw,cpu"


def left() -> list[Path]:
    mounts, own = (Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup"))
    groups = (place.directory.glob("polydelta-bench-*") for place in places(mounts, own))
    return [group for found in groups for group in found]


def allowed() -> bool:
    try:
        make_group(1.0).rmdir()
    except BenchError:
        return False
    return True


def test_a_process_gets_its_quota_and_no_more_or_is_refused() -> None:
    def run() -> str:
        command = [sys.executable, "-c", SPIN]
        with kept(command, quota=0.25, stdout=subprocess.PIPE) as process:
            return process.communicate()[0].decode()

    before = left()
    if not allowed():
        with pytest.raises(BenchError, match="needs control groups that may be written"):
            run()
        return
    share, where = run().split("\n", 1)
    assert float(share) < 0.4
    assert "/polydelta-bench-" in where
    assert "/polydelta-bench-" not in Path("/proc/self/cgroup").read_text()
    assert left() == before


def test_whoever_may_not_write_is_told_what_to_do() -> None:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(BenchError, match=r"\(.*polydelta-bench.*\).*give its --url"):
            make_group(1.0)
    finally:
        os.seteuid(user)


def test_a_group_lies_in_that_of_this_process() -> None:
    assert places(V1, "3:cpuacct,cpu:/user/me\n0::/") == [
        Place(Path("/sys/fs/cgroup/cpu/user/me"), 1)
    ]
    # A container sees its own part of the hierarchy alone, and names it in full.
    assert places(DOCKER, "4:cpu:/docker/7e/inner") == [Place(Path("/sys/fs/cgroup/inner"), 1)]


def test_in_version_2_it_may_lie_beside_that_of_this_process() -> None:
    home = Path("/sys/fs/cgroup")
    assert places(V2, "0::/") == [Place(home, 2)]
    assert places(V2, "0::/user/me") == [Place(home / "user/me", 2), Place(home / "user", 2)]


def test_version_1_goes_first_where_it_has_the_processors() -> None:
    both = "4:memory:/\n1:cpu,cpuacct:/\n0::/"
    assert [place.version for place in places(f"{V2}\n{V1}", both)] == [1]
    assert [place.version for place in places(f"{V2}\n{V1}", "4:memory:/\n0::/")] == [2]
    assert places("", both) == []


def test_limits_are_written_as_each_version_wants_them(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    first, second = (Place(tmp_path, version).make(1.5) for version in (1, 2))
    assert (first / "cpu.cfs_period_us").read_text() == "100000"
    assert (first / "cpu.cfs_quota_us").read_text() == "150000"
    assert (second / "cpu.max").read_text() == "150000 100000"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"

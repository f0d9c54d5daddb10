"""Control groups with a quota: real ones where they may be written, else the refusal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.bench.errors import BenchError
from server.bench.kept import kept
from server.bench.quota import make_group, places
from tests.server.control_groups import SPLIT, UNIFIED, V1, V2, cfs, lay_out, mount

# Spins for two seconds and says which share of a processor it got, and where.
SPIN = """
import time
start = time.monotonic()
while time.monotonic() < start + 2: pass
print(time.process_time() / (time.monotonic() - start))
print(open("/proc/self/cgroup").read())
"""


def left() -> list[Path]:
    return [group for place in places() for group in place.glob("polydelta-bench-*")]


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


def unified(place: str = UNIFIED, controllers: str = "cpu memory") -> dict[str, str]:
    """Files of a group of version 2 that has these controllers."""
    files = {"cgroup.controllers": controllers, "cgroup.subtree_control": "memory"}
    return {f"{place}/{name}": text for name, text in files.items()}


def test_a_group_lies_in_that_of_this_process(tmp_path: Path) -> None:
    node, container = tmp_path / "node", tmp_path / "container"
    files = cfs(f"{SPLIT}/user/me", -1)
    lay_out(node, ("3:cpuacct,cpu:/user/me", "0::/"), (mount(V1, "/", SPLIT),), files)
    assert list(places(node)) == [node / "sys/fs/cgroup/cpu,cpuacct/user/me"]
    # A container sees its own part of the hierarchy alone, and names it in full.
    files = cfs(f"{SPLIT}/inner", -1)
    lay_out(container, ("4:cpu:/docker/7e/inner",), (mount(V1, "/docker/7e", SPLIT),), files)
    assert list(places(container)) == [container / "sys/fs/cgroup/cpu,cpuacct/inner"]


def test_in_version_2_it_may_lie_beside_that_of_this_process(tmp_path: Path) -> None:
    container, node = tmp_path / "container", tmp_path / "node"
    lay_out(container, ("0::/",), (mount(V2, "/", UNIFIED),), unified())
    assert list(places(container)) == [container / "sys/fs/cgroup"]
    files = unified(f"{UNIFIED}/user.slice/user/me")
    lay_out(node, ("0::/user.slice/user/me",), (mount(V2, "/", UNIFIED),), files)
    home = node / "sys/fs/cgroup/user.slice/user"
    assert list(places(node)) == [home / "me", home]


def test_of_both_versions_that_counts_which_has_the_processors(tmp_path: Path) -> None:
    first, second, neither = (tmp_path / name for name in ("first", "second", "neither"))
    both = (mount(V2, "/", f"{UNIFIED}/unified"), mount(V1, "/", SPLIT))
    groups = ("4:memory:/", "1:cpu,cpuacct:/", "0::/")
    lay_out(first, groups, both, cfs(SPLIT, -1) | unified(f"{UNIFIED}/unified", "hugetlb"))
    assert list(places(first)) == [first / "sys/fs/cgroup/cpu,cpuacct"]
    lay_out(second, ("4:memory:/", "0::/"), both, unified(f"{UNIFIED}/unified"))
    assert list(places(second)) == [second / "sys/fs/cgroup/unified"]
    lay_out(neither, groups, (), {})
    assert list(places(neither)) == []


def test_limits_are_written_as_each_version_wants_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    lay_out(first, ("1:cpu,cpuacct:/",), (mount(V1, "/", SPLIT),), cfs(SPLIT, -1))
    lay_out(second, ("0::/",), (mount(V2, "/", UNIFIED),), unified())
    group = make_group(1.5, first)
    assert (group / "cpu.cfs_period_us").read_text() == "100000"
    assert (group / "cpu.cfs_quota_us").read_text() == "150000"
    group = make_group(1.5, second)
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert (group.parent / "cgroup.subtree_control").read_text() == "+cpu"

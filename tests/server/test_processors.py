"""What the process is given: groups as real systems lay them out, and this very system."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from server.bench.errors import BenchError
from server.bench.kept import kept
from server.build import count_threads
from server.settings import Settings
from server.system.processors import Processors, Quota, find_quota, one_a_core, processors
from tests.server.control_groups import BOX, POD, SPLIT, UNIFIED, V1, V2, cfs, lay_out, mount

SYSTEMS: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, str], Any]] = {
    "docker, version 2": (
        ("0::/",),
        (mount(V2, "/", UNIFIED),),
        {f"{UNIFIED}/cpu.max": "150000 100000"},
        (1.5, f"{UNIFIED}/cpu.max"),
    ),
    "docker, version 2, the host's namespace": (
        (f"0::{BOX}",),
        (mount(V2, BOX, UNIFIED),),
        {f"{UNIFIED}/cpu.max": "50000 100000"},
        (0.5, f"{UNIFIED}/cpu.max"),
    ),
    "docker, version 1": (
        ("9:memory:" + BOX, "4:cpu,cpuacct:" + BOX, "0::/system.slice/containerd.service"),
        (mount(V1, BOX, SPLIT),),
        cfs(SPLIT, 150_000),
        (1.5, f"{SPLIT}/cpu.cfs_quota_us"),
    ),
    "docker, version 1, in a namespace": (
        ("4:cpu,cpuacct:/",),
        (mount(V1, "/", SPLIT),),
        cfs(SPLIT, 800_000),
        (8, f"{SPLIT}/cpu.cfs_quota_us"),
    ),
    "docker, version 1, without --cpus": (
        ("4:cpu,cpuacct:" + BOX,),
        (mount(V1, BOX, SPLIT),),
        cfs(SPLIT, -1),
        None,
    ),
    "kubernetes, version 1, seen from the node": (
        ("4:cpu,cpuacct:" + POD,),
        (mount(V1, "/", SPLIT),),
        cfs(SPLIT, -1) | cfs(f"{SPLIT}{Path(POD).parent}", 200_000) | cfs(SPLIT + POD, -1),
        (2, f"{SPLIT}{Path(POD).parent}/cpu.cfs_quota_us"),
    ),
    "a group below the container's": (
        (f"4:cpu,cpuacct:{BOX}/worker",),
        (mount(V1, BOX, SPLIT),),
        cfs(SPLIT, 400_000) | cfs(f"{SPLIT}/worker", 50_000, 25_000),
        (2, f"{SPLIT}/worker/cpu.cfs_quota_us"),
    ),
    "systemd, CPUQuota of a slice": (
        ("0::/user.slice/user-1000.slice/session-3.scope",),
        (mount(V2, "/", UNIFIED),),
        {
            f"{UNIFIED}/user.slice/cpu.max": "800000 100000",
            f"{UNIFIED}/user.slice/user-1000.slice/cpu.max": "250000 100000",
            f"{UNIFIED}/user.slice/user-1000.slice/session-3.scope/cpu.max": "max 100000",
        },
        (2.5, f"{UNIFIED}/user.slice/user-1000.slice/cpu.max"),
    ),
    "lxc, a service within": (
        ("0::/system.slice/polydelta.service",),
        (mount(V2, "/", UNIFIED),),
        {
            f"{UNIFIED}/cpu.max": "300000 100000",
            f"{UNIFIED}/system.slice/polydelta.service/cpu.max": "max 100000",
        },
        (3, f"{UNIFIED}/cpu.max"),
    ),
    "lxc, version 1": (
        ("4:cpu,cpuacct:/lxc/box/init.scope",),
        (mount(V1, "/lxc/box", SPLIT),),
        cfs(SPLIT, 300_000) | cfs(f"{SPLIT}/init.scope", -1),
        (3, f"{SPLIT}/cpu.cfs_quota_us"),
    ),
    "both versions, the controller in the first": (
        ("1:cpu,cpuacct:/", "0::/"),
        (mount(V1, "/", SPLIT), mount(V2, "/", f"{UNIFIED}/unified")),
        cfs(SPLIT, -1) | {f"{UNIFIED}/unified/cpu.stat": "usage_usec 1"},
        None,
    ),
    "a mount from outside of the namespace": (
        ("0::/",),
        (mount(V2, "/../..", UNIFIED),),
        {f"{UNIFIED}/cpu.max": "400000 100000"},
        (4, f"{UNIFIED}/cpu.max"),
    ),
    "another's group": (
        (f"4:cpu,cpuacct:{BOX}",),
        (mount(V1, "/docker/8c11", "/watched"),),
        cfs("/watched", 100_000),
        None,
    ),
    "a place with a space": (
        ("0::/",),
        (mount(V2, "/", r"/mnt/control\040groups"),),
        {"/mnt/control groups/cpu.max": "100000 100000"},
        (1, "/mnt/control groups/cpu.max"),
    ),
    "no control groups": ((), (), {}, None),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_quota_of_real_systems(tmp_path: Path, system: str) -> None:
    groups, mounts, files, expected = SYSTEMS[system]
    lay_out(tmp_path, groups, mounts, files)
    quota = None if expected is None else Quota(expected[0], tmp_path / expected[1].lstrip("/"))
    assert find_quota(tmp_path) == quota


def test_a_system_without_proc_limits_nothing(tmp_path: Path) -> None:
    assert find_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("cores", "quota", "usable", "threads"),
    [
        (64, None, 64, 64),
        (32, None, 64, 32),
        (64, 1.5, 1.5, 2),
        (64, 0.25, 0.25, 1),
        (64, 8, 8, 8),
        (32, 48, 48, 32),
        (64, 96, 64, 64),
    ],
)
def test_as_many_threads_as_keep_busy(
    cores: int, quota: float | None, usable: float, threads: int
) -> None:
    limit = None if quota is None else Quota(quota, Path("cpu.max"))
    found = Processors(present=128, allowed=64, cores=cores, quota=limit)
    assert (found.usable, found.threads) == (usable, threads)


def test_processors_of_one_core_count_once(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for processor in allowed:
        topology = tmp_path / f"sys/devices/system/cpu/cpu{processor}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{allowed[0]}-{allowed[-1]}\n")
    found = processors(tmp_path)
    assert (found.allowed, found.cores, found.threads) == (len(allowed), 1, 1)
    assert one_a_core(tmp_path) == allowed[:1]


def test_a_system_without_affinity_allows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors().allowed == os.cpu_count()


LOOK = """
import json
from server.system.processors import processors
found = processors()
print(json.dumps([found.allowed, found.quota and found.quota.processors, found.threads]))
"""


def look(code: str = LOOK) -> list[Any]:
    """What a process of its own finds."""
    return json.loads(subprocess.check_output([sys.executable, "-c", code]))


def test_affinity_is_this_system_s() -> None:
    one = min(os.sched_getaffinity(0))
    bound = f"import os\nos.sched_setaffinity(0, {{{one}}})\n{LOOK}"
    assert look()[0] == len(os.sched_getaffinity(0))
    allowed, _, threads = look(bound)
    assert (allowed, threads) == (1, 1)


def test_a_quota_is_this_system_s() -> None:
    command = [sys.executable, "-c", LOOK]
    with suppress(BenchError), kept(command, quota=0.75, stdout=subprocess.PIPE) as process:
        assert json.loads(process.communicate()[0])[1:] == [0.75, 1]
    # Some versions of nproc know quotas, all know affinity.
    variables = {name: text for name, text in os.environ.items() if not name.startswith("OMP_")}
    counted = int(subprocess.check_output(["nproc"], env=variables))
    found = processors()
    assert max(1, int(found.usable)) <= counted <= found.allowed


def test_a_setting_overrides_what_was_found() -> None:
    assert count_threads(Settings(base="any", threads=3)) == 3
    assert count_threads(Settings(base="any")) == processors().threads

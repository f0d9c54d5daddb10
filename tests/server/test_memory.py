"""Memory that the process is given, in groups as real systems lay them out, and what it needs."""

import logging
from pathlib import Path

import pytest

from server.build import build_engine
from server.errors import InvalidSettings
from server.settings import Settings
from server.system.memory import GIGABYTE, Memory, MemoryLimit, find_limit, memory, resident
from server.system.need import Need, check_need
from tests.server.control_groups import BOX, UNIFIED, V2, lay_out, mount

V1 = f"{UNIFIED}/memory"
SPLIT = (f"4:memory:{BOX}",)
BIG = 9223372036854771712
"""Version 1 says so for no limit."""

SYSTEMS = {
    "docker, version 2": (
        ("0::/",),
        {
            f"{UNIFIED}/memory.max": "4000",
            f"{UNIFIED}/memory.current": "3000",
            f"{UNIFIED}/memory.stat": "anon 1800\ninactive_file 1000\nactive_file 200",
        },
        (4000, 2000, f"{UNIFIED}/memory.max"),
    ),
    "kubernetes, version 2, the pod has less": (
        ("0::/pod/box",),
        {
            f"{UNIFIED}/memory.max": "max",
            f"{UNIFIED}/pod/memory.max": "3000",
            f"{UNIFIED}/pod/memory.current": "2500",
            f"{UNIFIED}/pod/box/memory.max": "2000",
            f"{UNIFIED}/pod/box/memory.current": "100",
        },
        (3000, 2500, f"{UNIFIED}/pod/memory.max"),
    ),
    "docker, version 1": (
        SPLIT,
        {
            f"{V1}{BOX}/memory.limit_in_bytes": "5000",
            f"{V1}{BOX}/memory.usage_in_bytes": "4000",
            f"{V1}{BOX}/memory.stat": "inactive_file 1\ntotal_inactive_file 1500",
            f"{V1}/memory.limit_in_bytes": f"{BIG}",
        },
        (5000, 2500, f"{V1}{BOX}/memory.limit_in_bytes"),
    ),
    "version 2, without a limit": (("0::/",), {f"{UNIFIED}/memory.max": "max"}, None),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_limit_of_real_systems(tmp_path: Path, system: str) -> None:
    groups, files, expected = SYSTEMS[system]
    lay_out(tmp_path, groups, (mount(V2, "/", UNIFIED),), files)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8 kB\nMemFree: 1 kB\nMemAvailable: 6 kB\n")
    found = memory(tmp_path)
    assert (found.total, found.free) == (8192, 6144)
    if expected is None:
        assert found.limit is None
        assert (found.most, found.left) == (8192, 6144)
    else:
        most, used, file = expected
        assert found.limit == MemoryLimit(most, used, tmp_path / file.lstrip("/"))
        assert (found.most, found.left) == (most, most - used)


def test_a_system_without_proc_is_none_to_fail_on(tmp_path: Path) -> None:
    found = memory(tmp_path)
    assert found.free is None
    assert found.total is None or found.total > 0
    assert find_limit(tmp_path) is None


def test_this_system_has_room_for_this_process() -> None:
    found = memory()
    assert found.most is not None
    assert 0 < resident() < found.most


def given(most: int, left: int) -> Memory:
    return Memory(64 * GIGABYTE, 64 * GIGABYTE, MemoryLimit(most, most - left, Path("/limit")))


def test_what_never_fits_is_refused_with_the_flag() -> None:
    need = Need(GIGABYTE, 3 * GIGABYTE, 0)
    with pytest.raises(InvalidSettings, match=r"3\.0 GB where 2\.5 GB .*/limit.*--kv-cache-gb"):
        check_need(need, given(7 * GIGABYTE // 2, GIGABYTE))
    check_need(need, Memory(None, None, None))


def test_what_may_not_fit_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    need = Need(GIGABYTE, GIGABYTE, GIGABYTE)
    check_need(need, given(8 * GIGABYTE, 2 * GIGABYTE))
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "keys and values up to 1.0 GB more (--kv-cache-gb)" in caplog.text
    check_need(need, given(8 * GIGABYTE, 2 * GIGABYTE - 1))
    assert "2.0 GB are left (limit 8.0 GB, /limit): lower --kv-cache-gb or" in caplog.text


def test_an_encoder_s_need_is_deltas_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    check_need(Need(GIGABYTE, 0, GIGABYTE), Memory(None, None, None))
    assert "Memory: 1.0 GB, deltas up to 1.0 GB more (--host-cache-gb)." in caplog.text


def test_a_server_that_could_never_fit_does_not_start(decoder: Path, tmp_path: Path) -> None:
    settings = Settings(base=str(decoder), store=tmp_path, dtype="float32", kv_cache_gb=1e6)
    with pytest.raises(InvalidSettings, match="lower --kv-cache-gb"):
        build_engine(settings)

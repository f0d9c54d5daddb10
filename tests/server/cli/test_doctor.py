import json
from dataclasses import replace
from pathlib import Path

import pytest

from deltas.kernels import load_kernels, loading
from deltas.kernels.loading import ABSENT, staleness
from server.cli.advice import advice, single_stream_bound
from server.cli.doctor import describe_memory, describe_processors
from server.cli.machine import Gpu, Machine
from server.system.memory import Memory, MemoryLimit
from server.system.processors import Processors, Quota, processors
from tests.server.cli.conftest import Polydelta

EIGHT = Processors(present=8, allowed=8, cores=8, quota=None)
FINE = Machine(
    versions={},
    processor="any",
    processors=EIGHT,
    threads=8,
    instructions=("avx512_bf16",),
    memory=Memory(64 << 30, 32 << 30, None),
    kv_cache=1 << 30,
    host_cache=1 << 30,
    free_disk=100,
    compiler=None,
    kernels="avx2",
    stale=None,
    gpus=(Gpu("any", 80, (9, 0)),),
    device="cuda",
    dtype="bfloat16",
    products={"float32": 100, "bfloat16": 300},
    reading=50,
)
CPU = replace(FINE, gpus=(), device="cpu")


LIMITED = Memory(
    64 << 30, 32 << 30, MemoryLimit(2 << 30, 3 << 29, Path("/sys/fs/cgroup/memory.max"))
)


def under(quota: float) -> Processors:
    return replace(EIGHT, quota=Quota(quota, Path("/sys/fs/cgroup/cpu.max")))


def test_this_machine_is_described(polydelta: Polydelta) -> None:
    result = polydelta("doctor", "-o", "json")
    found = json.loads(result.out)["machine"]
    assert found["device"] in ("cpu", "cuda")
    assert found["dtype"] in ("float32", "bfloat16", "float16")
    assert found["processors"]["allowed"] == processors().allowed
    assert found["threads"] == processors().threads
    assert found["memory"]["total"] >= found["memory"]["free"] > 0
    assert min(found["products"].values()) > 0


def test_missing_kernels_are_told_once(
    polydelta: Polydelta,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loading, "BUILT", tmp_path)
    known = (load_kernels, staleness, loading.warn)
    for each in known:
        each.cache_clear()
    result = polydelta("doctor", "-o", "json")
    for each in known:
        each.cache_clear()
    found = json.loads(result.out)
    assert found["advice"].count(ABSENT) == (found["machine"]["device"] == "cpu")
    assert ABSENT not in result.err + caplog.text


def test_the_page_names_what_auto_picks(polydelta: Polydelta) -> None:
    assert "auto picks" in polydelta("doctor").out


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (EIGHT, "8 of 8 usable"),
        (
            Processors(64, 48, 24, Quota(1.5, Path("/sys/fs/cgroup/cpu.max"))),
            "1.5 of 64 usable, affinity allows 48, those allowed lie on 24 cores, "
            "the control group's quota is 1.5 (/sys/fs/cgroup/cpu.max)",
        ),
    ],
)
def test_processors_are_told_with_what_limits_them(found: Processors, words: str) -> None:
    assert describe_processors(found) == words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Memory(64 << 30, 32 << 30, None), "64.0 GB, 32.0 GB available"),
        (
            LIMITED,
            "64.0 GB, 32.0 GB available, the control group's limit is 2.0 GB, 1.5 GB taken "
            "(/sys/fs/cgroup/memory.max)",
        ),
        (Memory(None, None, None), "unknown"),
    ],
)
def test_memory_is_told_with_what_limits_it(found: Memory, words: str) -> None:
    assert describe_memory(found) == words


def test_caches_are_counted_as_a_server_is_told(polydelta: Polydelta) -> None:
    page = " ".join(polydelta("doctor", "--kv-cache-gb", "900000").out.split())
    assert "keys and values up to 900000.0 GB more (--kv-cache-gb)" in page
    assert "lower --kv-cache-gb" in page


@pytest.mark.parametrize(
    ("arguments", "variable", "line", "words"),
    [
        (("--threads", "3"), "4", "5", "3, as --threads says"),
        ((), "4", "5", "4, as POLYDELTA_THREADS says"),
        ((), None, "5", "5, as the settings file says"),
    ],
)
def test_threads_are_told_with_who_says_so(
    polydelta: Polydelta,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    variable: str | None,
    line: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "polydelta.toml").write_text(f"threads = {line}")
    if variable is not None:
        monkeypatch.setenv("POLYDELTA_THREADS", variable)
    assert words in polydelta("doctor", *arguments).out


def test_kernels_that_are_unwanted_are_not_to_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYDELTA_KERNELS", "off")
    found = "\n".join(advice(replace(CPU, kernels=None)))
    assert "POLYDELTA_KERNELS=off" in found
    assert "build.py" not in found


def test_a_fine_machine_gets_no_advice() -> None:
    assert list(advice(FINE)) == []


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (CPU, "No CUDA device"),
        (replace(CPU, kernels=None), "build.py"),
        (replace(FINE, products={"float32": 100, "bfloat16": 20}), "bfloat16 is emulated"),
        (replace(CPU, threads=16), "16 threads wait for each other where 8 keep"),
        (replace(CPU, threads=1), "Of 8 threads that could compute 1 do"),
        (
            replace(CPU, processors=under(1.5), threads=8),
            "8 threads wait for each other where 2 keep",
        ),
        (replace(CPU, processors=under(1.5), threads=2), "docker run --cpus 2"),
        (replace(CPU, processors=under(0.5), threads=1), "docker run --cpus 1"),
        (replace(CPU, memory=Memory(64 << 30, 1 << 30, None)), "1.0 GB of memory are left"),
        (replace(CPU, memory=LIMITED), "0.5 GB of memory are left"),
        (replace(CPU, kv_cache=40 << 30), "keys and values up to 40.0 GB more"),
        (replace(CPU, host_cache=40 << 30), "deltas up to 40.0 GB more (--host-cache-gb)"),
        (replace(FINE, free_disk=1), "--cache"),
    ],
)
def test_what_would_be_slow_is_said_with_its_reason(machine: Machine, words: str) -> None:
    assert any(words in line for line in advice(machine))


def test_a_whole_quota_gets_no_advice() -> None:
    assert list(advice(replace(FINE, processors=under(4), threads=4))) == []


def test_the_bound_is_one_reading_of_the_weights_a_token() -> None:
    float32, bfloat16 = replace(CPU, dtype="float32"), CPU
    assert single_stream_bound(bfloat16) == pytest.approx(2 * single_stream_bound(float32))
    assert single_stream_bound(float32) == pytest.approx(50e9 / (4 * 134_515_008), rel=1e-3)
